#include "bench/simulate/fleet.h"

#include <algorithm>
#include <utility>

#include "bench/simulate/simulated_adapter.h"
#include "kernels/check.h"

namespace chorus::bench {

using cli::TraceRequest;
using nlohmann::json;

namespace {

// One more than the largest index.
int64_t NumAdapters(const Trace& trace) {
  int32_t most = -1;
  for (const TraceRequest& request : trace) most = std::max(most, request.adapter.value_or(-1));
  return most + 1;
}

}  // namespace

// One replica, and what is seen of it.
class Fleet::Member : public ReplicaListener {
 public:
  Member(Fleet* fleet, int number)
      : fleet_(fleet),
        number_(number),
        replica_(fleet->options_.machine, fleet->options_.engine,
                 Replica::LimitsOf(fleet->options_.machine), &fleet->runner_, this) {}

  void OnEvent(uint64_t request, const engine::StreamEvent& event, Nanos now) override {
    RequestRecord& record = fleet_->records_[request];
    if (event.kind == engine::StreamEvent::Kind::kToken) {
      if (record.tokens == 0) record.first = now;
      if (record.tokens > 0) fleet_->gaps_.Add(now - record.last);
      record.last = now;
      ++record.tokens;
    } else if (event.kind == engine::StreamEvent::Kind::kFinished) {
      CHORUS_CHECK(record.end == kNever);
      record.end = now;
      record.reason = event.reason;
      if (event.reason == engine::FinishReason::kLength ||
          event.reason == engine::FinishReason::kStop) {
        CHORUS_CHECK_EQ(record.tokens, fleet_->trace_[request].output_tokens);
      }
      fleet_->router_.OnEnded(number_);
    }
  }

  void OnStep(const engine::StepPlan& plan, const StepCost&, Nanos took) override {
    ++steps;
    rows += plan.num_rows();
    adapters += static_cast<int64_t>(plan.segments.size());
    busy += took;
  }

  Replica* replica() { return &replica_; }
  const Replica& replica() const { return replica_; }

  int64_t steps = 0, rows = 0, adapters = 0, requests = 0, with_adapter = 0;
  Nanos busy = 0;

 private:
  Fleet* const fleet_;
  const int number_;
  Replica replica_;
};

Fleet::Fleet(const FleetOptions& options, const Trace& trace)
    : options_(options),
      trace_(trace),
      adapters_(
          MakeAdapters(options.machine, NumAdapters(trace), options.ranks, options.attention_only)),
      router_(options.router, options.replicas, options.load_bound, options.seed),
      records_(trace.size()),
      replica_of_(trace.size()) {
  for (int i = 0; i < options.replicas; ++i) {
    members_.push_back(std::make_unique<Member>(this, i));
  }
}

Fleet::~Fleet() = default;

void Fleet::Run() {
  const double begin = ProcessorSeconds();
  for (size_t i = 0; i < trace_.size(); ++i) Send(i);
  AdvanceBefore(kNever);
  for (const std::unique_ptr<Member>& member : members_) CheckEnd(*member);
  seconds_ = ProcessorSeconds() - begin;
}

void Fleet::AdvanceBefore(Nanos time) {
  while (!due_.empty() && due_.top().time < time) {
    const Due due = due_.top();
    due_.pop();
    Replica* replica = members_[due.member]->replica();
    if (replica->next() != due.time) continue;
    replica->Advance();
    Schedule(due.member);
  }
}

void Fleet::Schedule(size_t member) {
  const Nanos next = members_[member]->replica()->next();
  if (next != kNever) due_.push({next, member});
}

void Fleet::Send(size_t index) {
  const TraceRequest& of = trace_[index];
  RequestRecord& record = records_[index];
  record.arrival = absl::ToInt64Nanoseconds(of.arrival);
  AdvanceBefore(record.arrival);
  engine::GenerateRequest request = RequestOf(index);
  if (request.max_tokens > of.output_tokens) {
    runner_.EndBefore(index, of.prompt_tokens + of.output_tokens);
  }
  // Replicas are all alike: what one refuses, all do.
  if (!members_[0]->replica()->Validate(request).ok()) return;
  const int to = router_.Pick(of.adapter.value_or(-1));
  replica_of_[index] = to;
  Member& member = *members_[static_cast<size_t>(to)];
  ++member.requests;
  member.with_adapter += request.adapter != nullptr;
  member.replica()->Submit(index, std::move(request), record.arrival);
  Schedule(static_cast<size_t>(to));
}

// Prompts differ from their first token on, so that none is found in the prefix cache.
engine::GenerateRequest Fleet::RequestOf(size_t index) const {
  const TraceRequest& of = trace_[index];
  engine::GenerateRequest request;
  request.tenant = of.tenant;
  if (of.adapter) request.adapter = adapters_[static_cast<size_t>(*of.adapter)];
  request.prompt.assign(static_cast<size_t>(of.prompt_tokens), 1);
  auto number = static_cast<int64_t>(index);
  for (size_t i = 0; i < request.prompt.size() && number > 0; ++i) {
    request.prompt[i] = static_cast<int32_t>(number % options_.machine.model.vocabulary);
    number /= options_.machine.model.vocabulary;
  }
  request.max_tokens = std::max(of.output_tokens, options_.max_tokens);
  return request;
}

void Fleet::CheckEnd(const Member& member) const {
  CHORUS_CHECK(member.replica().idle());
  const engine::EngineStats stats = member.replica().stats();
  CHORUS_CHECK_EQ(stats.pages_sequences, 0);
  CHORUS_CHECK_EQ(stats.pages_free + stats.pages_prefixes + stats.pages_adapters,
                  stats.pages_total);
}

json Fleet::Figures() const {
  json figures = RequestFigures(records_, gaps_, options_.first_token_limit_s);
  engine::EngineStats sum;
  SchedulerSeconds own;
  int64_t steps = 0, rows = 0, adapters = 0, with_adapter = 0, refused = 0;
  int64_t fewest = records_.empty() ? 0 : std::numeric_limits<int64_t>::max(), most = 0;
  uint64_t started = 0, host_hits = 0;
  Nanos busy = 0;
  for (const std::unique_ptr<Member>& member : members_) {
    const engine::EngineStats stats = member->replica()->stats();
    sum.preemptions += stats.preemptions;
    sum.recomputed_tokens += stats.recomputed_tokens;
    sum.adapter_loads += stats.adapter_loads;
    sum.adapter_evictions += stats.adapter_evictions;
    sum.prefix_evictions += stats.prefix_evictions;
    steps += member->steps;
    rows += member->rows;
    adapters += member->adapters;
    with_adapter += member->with_adapter;
    busy += member->busy;
    fewest = std::min(fewest, member->requests);
    most = std::max(most, member->requests);
    started += member->replica()->loads()->num_started();
    host_hits += member->replica()->loads()->num_host_hits();
    const SchedulerSeconds& seconds = member->replica()->scheduler_seconds();
    own.submit += seconds.submit;
    own.plan += seconds.plan;
    own.commit += seconds.commit;
  }
  for (const RequestRecord& record : records_) refused += record.end == kNever;
  const auto mean = [](auto of, int64_t count) {
    return count == 0 ? 0.0 : static_cast<double>(of) / static_cast<double>(count);
  };
  figures["refused"] = refused;
  figures["steps"] = {{"count", steps},
                      {"mean_s", mean(SecondsOf(busy), steps)},
                      {"mean_rows", mean(rows, steps)},
                      {"mean_adapters", mean(adapters, steps)},
                      {"busy", SecondsOf(busy) / figures["seconds"].get<double>() /
                                   static_cast<double>(members_.size())}};
  figures["adapters"] = {{"requests", with_adapter},
                         {"loads_started", started},
                         {"loads", sum.adapter_loads},
                         {"host_hits", host_hits},
                         {"hit_rate", with_adapter == 0 ? 1.0 : 1.0 - mean(started, with_adapter)},
                         {"evictions", sum.adapter_evictions}};
  figures["preemptions"] = sum.preemptions;
  figures["recomputed_tokens"] = sum.recomputed_tokens;
  figures["prefix_evictions"] = sum.prefix_evictions;
  figures["replicas"] = {
      {"count", members_.size()}, {"fewest_requests", fewest}, {"most_requests", most}};
  figures["simulation"] = {{"processor_s", seconds_},
                           {"submit_s", own.submit},
                           {"plan_s", own.plan},
                           {"commit_s", own.commit}};
  return figures;
}

}  // namespace chorus::bench
