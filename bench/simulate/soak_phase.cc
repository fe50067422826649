#include "bench/simulate/soak_phase.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/simulate/simulated_adapter.h"
#include "kernels/check.h"

namespace chorus::bench {
namespace {

using engine::FakeRunner;
using engine::FinishReason;

constexpr Nanos kMs = 1'000'000;

const char* NameOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "ended at a stop token";
    case FinishReason::kLength:
      return "ended at their length";
    case FinishReason::kDeadline:
      return "ended at their deadline";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kSlowReader:
      return "slow readers";
    case FinishReason::kError:
      return "ended with an error";
  }
  return "ended otherwise";
}

}  // namespace

SoakPhase::SoakPhase(int64_t requests, uint64_t seed, SoakCounts* counts)
    : num_requests_(requests),
      random_(seed),
      counts_(*counts),
      machine_(RandomMachine()),
      options_(RandomOptions()),
      limits_(RandomLimits()),
      runner_(machine_.pool_view(), limits_),
      replica_(machine_, options_,
               {"base", {FakeRunner::kEos}, 4096, FakeRunner::kVocabulary, limits_}, &runner_,
               this) {
  const int64_t adapters = Between(1, 30);
  for (int64_t i = 0; i < adapters; ++i) adapters_.push_back(RandomAdapter());
  replica_.loads()->OnRead([this](const engine::LoadJob&) {
    return Chance(3) ? absl::DataLossError("a read that fails") : absl::OkStatus();
  });
}

void SoakPhase::Run() {
  // Around what the pool can serve, now more, now less.
  const int64_t mean_gap = Between(1, 12) * kMs;
  for (int64_t i = 0; i < num_requests_; ++i) {
    AdvanceTo(now_ + Between(0, 2 * mean_gap));
    Arrive();
    if (Chance(6)) CancelOne();
    if (Chance(2)) DeleteOne();
    if (Chance(2)) PinOne();
  }
  while (!replica_.idle()) AdvanceTo(replica_.next());
  CHORUS_CHECK(live_.empty());
  const engine::EngineStats stats = replica_.stats();
  counts_["preemptions"] += stats.preemptions;
  counts_["adapter evictions"] += stats.adapter_evictions;
  counts_["prefix evictions"] += stats.prefix_evictions;
  counts_["adapter loads"] += stats.adapter_loads;
  counts_["adapter loads that failed"] += stats.adapter_load_failures;
  counts_["prompt tokens cached"] += stats.prompt_tokens_cached;
  counts_["steps"] += stats.steps;
  EmptyThePool();
}

void SoakPhase::EmptyThePool() {
  for (const Adapter& adapter : adapters_) Delete(adapter);
  while (replica_.next() != kNever) AdvanceTo(replica_.next());
  const engine::EngineStats stats = replica_.stats();
  CHORUS_CHECK_EQ(stats.pages_adapters, 0);
  CHORUS_CHECK_EQ(stats.pages_free + stats.pages_prefixes, stats.pages_total);
}

void SoakPhase::AdvanceTo(Nanos time) {
  while (replica_.next() <= time && replica_.next() != kNever) {
    replica_.Advance();
    CheckPages();
  }
  now_ = time;
}

void SoakPhase::CheckPages() const {
  const engine::EngineStats stats = replica_.stats();
  CHORUS_CHECK_GE(stats.pages_sequences, 0);
  CHORUS_CHECK_EQ(stats.pages_free + stats.pages_prefixes + stats.pages_adapters +
                      stats.pages_sequences + stats.pages_draining,
                  stats.pages_total);
}

void SoakPhase::Arrive() {
  const uint64_t number = next_number_++;
  engine::GenerateRequest request = RandomRequest();
  ++counts_["requests"];
  if (!replica_.Validate(request).ok()) {
    ++counts_["refused"];
    return;
  }
  Live& live = live_[number];
  live.choices.resize(static_cast<size_t>(request.num_choices));
  live.unfinished = request.num_choices;
  live.request = request;
  live.request.sampling.seed = number;
  replica_.Submit(number, std::move(request), now_);
}

void SoakPhase::CancelOne() {
  // One of the last, if it has not ended.
  const uint64_t number = next_number_ - static_cast<uint64_t>(Between(1, 40));
  const auto found = live_.find(number);
  if (found == live_.end()) return;
  const int32_t choice =
      Chance(50) ? -1 : static_cast<int32_t>(Index(found->second.choices.size()));
  found->second.cancelled = true;
  replica_.Post(
      [=](engine::Scheduler* s, absl::Time) {
        s->Cancel(absl::StrCat(number), choice, FinishReason::kCancelled);
      },
      now_);
}

// As the catalog does it.
void SoakPhase::Delete(const Adapter& adapter) {
  adapter.version->Retire();
  const engine::AdapterKey key = engine::Residency::KeyOf(*adapter.version);
  replica_.Post([key](engine::Scheduler* s, absl::Time) { s->Forget(key); }, now_);
}

// Who comes later finds other content under the name, or the same again.
void SoakPhase::DeleteOne() {
  Adapter& adapter = adapters_[Index(adapters_.size())];
  Delete(adapter);
  const engine::AdapterVersion& old = *adapter.version;
  adapter = Chance(50) ? RandomAdapter()
                       : Adapter{adapter.index, std::make_shared<LayoutAdapter>(
                                                    old.tenant(), adapter.index, old.layout())};
  ++counts_["adapters deleted"];
}

void SoakPhase::PinOne() {
  // Whatever is pinned, others must find room, as Engine::Pin sees to.
  if (limits_.max_adapters != engine::RunnerLimits::kNone) return;
  const engine::AdapterRef adapter = adapters_[Index(adapters_.size())].version;
  const bool pinned = Chance(50);
  replica_.Post(
      [this, adapter, pinned](engine::Scheduler* s, absl::Time) {
        if (s->Pin(adapter, pinned).ok()) ++counts_["pins and unpins"];
      },
      now_);
}

void SoakPhase::OnEvent(uint64_t number, const engine::StreamEvent& event, Nanos now) {
  const auto found = live_.find(number);
  CHORUS_CHECK(found != live_.end());
  Live& live = found->second;
  if (event.kind == engine::StreamEvent::Kind::kAdmitted) return;
  Choice& choice = live.choices[static_cast<size_t>(event.choice)];
  CHORUS_CHECK(!choice.finished);
  if (event.kind == engine::StreamEvent::Kind::kToken) {
    choice.tokens.push_back(event.token.token);
    return;
  }
  choice.finished = true;
  CheckChoice(live, event.choice, event, now);
  if (--live.unfinished == 0) live_.erase(found);
}

// The tokens are those that the request gets alone, up to where its end says.
void SoakPhase::CheckChoice(const Live& live, int32_t choice, const engine::StreamEvent& event,
                            Nanos now) {
  const engine::GenerateRequest& request = live.request;
  const std::vector<int32_t>& tokens = live.choices[static_cast<size_t>(choice)].tokens;
  const auto count = static_cast<int32_t>(tokens.size());
  ++counts_[NameOf(event.reason)];
  counts_["tokens"] += tokens.size();
  const std::vector<int32_t> expected = FakeRunner::ExpectedTokens(
      request.prompt, request.adapter.get(), request.sampling.seed, choice, count + 1);
  CHORUS_CHECK(std::equal(tokens.begin(), tokens.end(), expected.begin()));
  if (!request.ignore_eos) {
    CHORUS_CHECK(std::find(tokens.begin(), tokens.end(), FakeRunner::kEos) == tokens.end());
  }
  switch (event.reason) {
    case FinishReason::kLength:
      CHORUS_CHECK_EQ(count, request.max_tokens);
      break;
    case FinishReason::kStop:
      CHORUS_CHECK(!request.ignore_eos && expected.back() == FakeRunner::kEos);
      break;
    case FinishReason::kDeadline:
      CHORUS_CHECK(absl::FromUnixNanos(now) >= request.deadline);
      break;
    case FinishReason::kCancelled:
      CHORUS_CHECK(live.cancelled);
      break;
    case FinishReason::kError:
      if (absl::IsResourceExhausted(event.status)) {
        // Early abort, which throws away nothing that was begun.
        CHORUS_CHECK(options_.first_token_limit_ms > 0 && tokens.empty());
        ++counts_["refused when they would be late"];
      } else {
        CHORUS_CHECK(request.adapter != nullptr && absl::IsDataLoss(event.status));
        ++counts_["ended with their adapter's load"];
      }
      break;
    case FinishReason::kSlowReader:
      CHORUS_CHECK(false);  // every stream is drained after every step
  }
}

int64_t SoakPhase::Between(int64_t least, int64_t most) {
  return least + static_cast<int64_t>(random_() % static_cast<uint64_t>(most - least + 1));
}

// A small pool; a device or none behind the loads, with a host that may keep little.
Machine SoakPhase::RandomMachine() {
  Machine machine;
  machine.name = "soak";
  machine.model.layers = 2;
  machine.model.hidden = 64;
  machine.model.intermediate = 64;
  machine.model.heads = 1;
  machine.model.kv_heads = 1;
  machine.model.head_dim = 8;
  machine.model.vocabulary = FakeRunner::kVocabulary;
  machine.pool_pages = Chance(50) ? Between(10, 60) : Between(60, 300);
  machine.step = {.bytes_per_s = 1e30, .flops_per_s = 1e30, .step_s = 1e-3};
  const double page = static_cast<double>(machine.pool_view().cell_bytes() * 2);
  machine.load = {.readers = static_cast<int32_t>(Between(1, 3)),
                  .open_s = 1e-3 * static_cast<double>(Between(0, 5)),
                  .read_bytes_per_s = page / (1e-3 * static_cast<double>(Between(1, 5))),
                  .host_bytes = static_cast<int64_t>(page) * Between(0, 20),
                  .copy_bytes_per_s = Chance(50) ? page / 1e-3 : 0.0};
  return machine;
}

engine::EngineOptions SoakPhase::RandomOptions() {
  engine::EngineOptions options;
  options.admission = static_cast<engine::AdmissionMode>(Between(0, 2));
  options.max_running = static_cast<int32_t>(Between(3, 24));
  options.max_step_tokens = static_cast<int32_t>(Between(24, 96));
  options.max_prefill_chunk = static_cast<int32_t>(Between(1, 64));
  options.max_step_adapters = static_cast<int32_t>(Between(1, 12));
  options.max_step_rank_sum = static_cast<int32_t>(Between(256, 512));
  options.max_overtakes = static_cast<int32_t>(Between(0, 16));
  options.admission_watermark = Chance(50) ? 0.0 : 0.05;
  options.pin_budget = 0.2;
  options.prefix_cache = Chance(80);
  options.max_loads = static_cast<int32_t>(Between(1, 4));
  if (Chance(30)) options.cluster_adapters = static_cast<int32_t>(Between(1, 4));
  if (Chance(30)) options.first_token_limit_ms = static_cast<int32_t>(Between(5, 500));
  if (Chance(50)) options.tenant_weights = {{"tenant-0", 4.0}, {"tenant-1", 0.5}};
  return options;
}

// Half of the runners take all that comes.
engine::RunnerLimits SoakPhase::RandomLimits() {
  engine::RunnerLimits limits;
  if (Chance(50)) return limits;
  if (Chance(70)) limits.max_step_pages = Between(7, 60);
  if (Chance(70)) limits.max_step_penalties = Between(60, 250);
  if (Chance(70)) limits.max_step_biases = Between(3, 8);
  if (Chance(70)) limits.max_adapters = Between(1, 8);
  if (Chance(30)) limits.max_adapter_pages = 2;
  if (Chance(30)) limits.max_adapter_rank = 40;
  return limits;
}

SoakPhase::Adapter SoakPhase::RandomAdapter() {
  const kernels::PoolView view = machine_.pool_view();
  const int64_t index = next_adapter_++;
  engine::ImageLayout layout;
  layout.modules.resize(kernels::kNumLoraModules);
  layout.modules[0].rank = 8 * static_cast<int32_t>(Between(1, 8));
  layout.modules[0].scale = static_cast<float>(index + 1);  // no two compute the same
  layout.num_ids = Between(1, 3);
  layout.num_tiles = layout.num_ids * view.num_slabs * kernels::TilesPerCell(view);
  return {index, std::make_shared<LayoutAdapter>(absl::StrCat("tenant-", index % 3), index,
                                                 std::move(layout))};
}

engine::GenerateRequest SoakPhase::RandomRequest() {
  engine::GenerateRequest request;
  request.tenant = absl::StrCat("tenant-", Between(0, 2));
  if (Chance(60)) request.adapter = adapters_[Index(adapters_.size())].version;
  // Few distinct beginnings, so that prefixes meet.
  const int64_t length = Between(1, 70), first = Between(1, 3);
  for (int64_t i = 0; i < length; ++i) {
    request.prompt.push_back(static_cast<int32_t>((first + i) % FakeRunner::kVocabulary));
  }
  request.max_tokens = static_cast<int32_t>(Between(1, 40));
  request.num_choices = Chance(15) ? static_cast<int32_t>(Between(2, 3)) : 1;
  request.ignore_eos = Chance(50);
  request.priority = static_cast<int32_t>(Between(0, 2));
  if (Chance(10)) request.deadline = absl::FromUnixNanos(now_ + Between(1, 300) * kMs);
  if (Chance(30)) request.sampling.repetition_penalty = 1.5f;
  if (Chance(15)) request.sampling.presence_penalty = 0.5f;
  for (int64_t i = Chance(20) ? Between(1, 3) : 0; i > 0; --i) {
    request.sampling.logit_bias.emplace_back(static_cast<int32_t>(i), 1.0f);
  }
  return request;
}

}  // namespace chorus::bench
