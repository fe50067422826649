#include "bench/simulate/replica.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/check.h"

namespace chorus::bench {
namespace {

// As long as Engine's thread sleeps at most while requests wait for something that cannot run yet.
constexpr Nanos kIdleWait = 20'000'000;
constexpr int kMaxIdleWaits = 1000;

absl::Time TimeOf(Nanos now) { return absl::FromUnixNanos(now); }

// Adds the processor's time in which it lives to `*seconds`.
class Stopwatch {
 public:
  explicit Stopwatch(double* seconds) : seconds_(seconds) {}
  ~Stopwatch() { *seconds_ += ProcessorSeconds() - begin_; }

 private:
  double* const seconds_;
  const double begin_ = ProcessorSeconds();
};

}  // namespace

double ProcessorSeconds() {
  timespec time;
  CHORUS_CHECK_EQ(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

absl::StatusOr<engine::StepResult> TokenRunner::Run(const engine::StepPlan& plan) {
  engine::StepResult result;
  result.tokens.resize(plan.samples.size());
  for (size_t i = 0; i < plan.samples.size(); ++i) {
    const auto end = ends_.find(plan.samples[i].params->seed);
    result.tokens[i].token = end != ends_.end() && plan.samples[i].position >= end->second ? 0 : 1;
  }
  return result;
}

Replica::Replica(const Machine& machine, const engine::EngineOptions& options,
                 const engine::ModelLimits& model, engine::Runner* runner,
                 ReplicaListener* listener)
    : num_layers_(machine.model.layers),
      runner_(runner),
      listener_(listener),
      timer_(machine),
      loads_(machine),
      scheduler_(options, model, machine.pool_view(), &loads_, &bell_),
      nobody_(std::make_shared<engine::TokenStream>(1)) {
  scheduler_.OnEnded([this](const std::string& id) {
    uint64_t number = 0;
    CHORUS_CHECK(absl::SimpleAtoi(id, &number));
    ended_.push_back(number);
  });
}

Replica::~Replica() {
  scheduler_.FailAll(absl::CancelledError("the simulation ends"));
  while (loads_.next() != kNever) loads_.Advance(loads_.next(), &scheduler_);
}

engine::ModelLimits Replica::LimitsOf(const Machine& machine) {
  return {.base_digest = "base",
          .eos_token_ids = {0},
          .max_positions = machine.model.max_positions,
          .vocabulary = machine.model.vocabulary};
}

void Replica::Submit(uint64_t number, engine::GenerateRequest request, Nanos now) {
  request.request_id = absl::StrCat(number);
  request.sampling.seed = number;
  // Made by the caller's thread in the engine too.
  auto made = std::make_shared<std::unique_ptr<engine::Request>>(
      scheduler_.intake().MakeRequest(std::move(request)));
  CHORUS_CHECK(streams_.try_emplace(number, (*made)->stream).second);
  ++outstanding_;
  Post([made](engine::Scheduler* s, absl::Time at) { s->Submit(std::move(*made), at); }, now);
}

void Replica::Post(Message message, Nanos now) { inbox_.emplace_back(now, std::move(message)); }

Nanos Replica::next() const {
  if (plan_.has_value()) return step_end_;
  Nanos next = loads_.next();
  if (!inbox_.empty()) next = std::min(next, inbox_.front().first);
  if (outstanding_ > 0) next = std::min(next, now_ + kIdleWait);
  return next == kNever ? kNever : std::max(next, now_);
}

void Replica::Advance() {
  const Nanos now = next();
  CHORUS_CHECK(now != kNever);
  now_ = now;
  if (plan_.has_value()) EndStep();
  loads_.Advance(now_, &scheduler_);
  {
    const Stopwatch stopwatch(&seconds_.submit);
    size_t due = 0;
    for (; due < inbox_.size() && inbox_[due].first <= now_; ++due) {
      inbox_[due].second(&scheduler_, TimeOf(now_));
    }
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<ptrdiff_t>(due));
  }
  BeginStep();
  DrainStreams();
}

void Replica::EndStep() {
  // Whoever ends goes with its parameters.
  for (const engine::PlannedSample& sample : plan_->samples) {
    news_.push_back(sample.params->seed);
  }
  {
    const Stopwatch stopwatch(&seconds_.commit);
    scheduler_.CommitStep(result_, absl::Nanoseconds(step_end_ - step_begin_));
  }
  plan_.reset();
}

void Replica::BeginStep() {
  std::optional<engine::StepPlan> plan;
  {
    const Stopwatch stopwatch(&seconds_.plan);
    plan = scheduler_.PlanStep(TimeOf(now_));
  }
  if (!plan.has_value()) {
    const bool waits = loads_.next() != kNever || !inbox_.empty() || outstanding_ == 0;
    idle_waits_ = waits ? 0 : idle_waits_ + 1;
    CHORUS_CHECK_LT(idle_waits_, kMaxIdleWaits);  // or requests wait for nothing that comes
    return;
  }
  idle_waits_ = 0;
  absl::StatusOr<engine::StepResult> result = runner_->Run(*plan);
  CHORUS_CHECK(result.ok());
  result_ = *std::move(result);
  const Nanos took = std::max<Nanos>(NanosOf(timer_.Time(*plan)), 1);
  step_begin_ = now_;
  step_end_ = now_ + took;
  // A step waits for the last layer of what arrives, and then computes that layer.
  for (const auto& arrivals : plan->arrivals) {
    step_end_ = std::max(step_end_, loads_.EndOf(arrivals.get()) + took / num_layers_);
  }
  listener_->OnStep(*plan, timer_.cost(), step_end_ - step_begin_);
  plan_ = std::move(plan);
}

void Replica::DrainStreams() {
  for (uint64_t number : std::exchange(news_, {})) Drain(number);
  for (uint64_t number : std::exchange(ended_, {})) {
    Drain(number);
    streams_.erase(number);
    --outstanding_;
  }
  bell_.Add(nobody_);
  bell_.Ring();
  bell_.Wait();
}

void Replica::Drain(uint64_t number) {
  const auto found = streams_.find(number);
  if (found == streams_.end()) return;
  for (const engine::StreamEvent& event : found->second->Drain()) {
    listener_->OnEvent(number, event, now_);
  }
}

engine::EngineStats Replica::stats() const {
  engine::EngineStats stats;
  scheduler_.FillStats(&stats);
  return stats;
}

}  // namespace chorus::bench
