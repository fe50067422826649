// Random schedules over small pools: whatever is cached, shared, forked, preempted, evicted,
// cancelled or loaded late, every request gets exactly the tokens it gets alone, every one ends,
// and at the end no page is missing.
#include <map>
#include <random>

#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

struct Run {
  GenerateRequest request;
  bool cancelled = false;
};

class Schedule {
 public:
  explicit Schedule(uint32_t seed)
      : random_(seed),
        options_(RandomOptions()),
        limits_(RandomLimits()),
        harness_(options_, Between(10, 60), limits_) {
    // Half of them are activated, by one to three ids that no prompt has of itself.
    for (int i = 0; i < 6; ++i) {
      std::vector<int32_t> invocation;
      for (int k = 0; i >= 3 && k <= i - 3; ++k) invocation.push_back(i < 5 ? 90 + k : 91);
      adapters_.push_back(harness_.Adapter("adapter" + std::to_string(i), Between(1, 3),
                                           8 * static_cast<int32_t>(Between(1, 8)), invocation));
    }
  }

  void Play() {
    harness_.loads().num_threads = Index(4);
    for (int turn = 0; turn < 150; ++turn) {
      if (Chance(40)) Arrive();
      if (Chance(5)) CancelOne();
      if (Chance(5)) {
        harness_.scheduler().Forget(Residency::KeyOf(*adapters_[Index(adapters_.size())]));
      }
      if (Chance(3)) PinOne();
      if (Chance(50) && !harness_.loads().under_way.empty()) EndLoad();
      harness_.Step();
      CheckPages();
    }
    for (int turn = 0; !harness_.scheduler().idle(); ++turn) {
      ASSERT_LT(turn, 100000) << "requests never end";
      const bool moved = harness_.Step();
      CheckPages();
      if (!harness_.loads().under_way.empty()) {
        EndLoad();
      } else {
        ASSERT_TRUE(moved || harness_.scheduler().idle()) << "nothing runs and nothing loads";
      }
    }
    while (!harness_.loads().under_way.empty()) EndLoad();
  }

  void CheckTokens() {
    for (const auto& [id, run] : runs_) {
      for (int32_t choice = 0; choice < run.request.num_choices; ++choice) {
        const Heard& heard = harness_.Hear(id, choice);
        ASSERT_EQ(heard.finished.size(), 1u) << id << " choice " << choice;
        const FinishReason reason = heard.finished[0].reason;
        const int count = static_cast<int>(heard.tokens.size());
        std::vector<int32_t> expected =
            FakeRunner::ExpectedTokens(run.request.prompt, run.request.adapter.get(),
                                       run.request.sampling.seed, choice, run.request.max_tokens);
        if (!run.request.ignore_eos) {
          const auto eos = std::find(expected.begin(), expected.end(), FakeRunner::kEos);
          expected.erase(eos, expected.end());
        }
        if (run.cancelled) {
          ASSERT_LE(count, static_cast<int>(expected.size()));
          expected.resize(heard.tokens.size());
        } else {
          ASSERT_TRUE(reason == FinishReason::kStop || reason == FinishReason::kLength) << id;
        }
        ASSERT_EQ(heard.tokens, expected) << id << " choice " << choice;
      }
    }
  }

  void CheckNothingHeld() {
    const EngineStats stats = harness_.Stats();
    EXPECT_EQ(stats.pages_sequences, 0);
    EXPECT_EQ(stats.pages_free + stats.pages_prefixes + stats.pages_adapters, stats.pages_total);
    if (options_.admission == AdmissionMode::kConservative) {
      EXPECT_EQ(stats.preemptions, 0u);
    }
  }

  uint64_t preemptions() const { return harness_.Stats().preemptions; }
  uint64_t evictions() const {
    return harness_.Stats().adapter_evictions + harness_.Stats().prefix_evictions;
  }
  uint64_t crossings() const { return harness_.runner().num_crossings(); }
  uint64_t cached() const { return harness_.Stats().prompt_tokens_cached; }
  uint64_t refused() const { return refused_; }  // whatever the reason

 private:
  int64_t Between(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random_() % static_cast<uint64_t>(most - least + 1));
  }
  size_t Index(size_t size) { return random_() % size; }
  bool Chance(int percent) { return Between(1, 100) <= percent; }

  EngineOptions RandomOptions() {
    EngineOptions options;
    options.admission = static_cast<AdmissionMode>(Between(0, 2));
    options.max_running = static_cast<int32_t>(Between(3, 10));
    options.max_step_tokens = static_cast<int32_t>(Between(10, 64));
    options.max_prefill_chunk = static_cast<int32_t>(Between(1, 40));
    options.max_step_adapters = static_cast<int32_t>(Between(1, 6));
    options.max_step_rank_sum = 256;
    options.max_overtakes = static_cast<int32_t>(Between(0, 5));
    options.admission_watermark = Chance(50) ? 0.0 : 0.05;
    options.pin_budget = 0.2;
    options.prefix_cache = Chance(80);
    options.max_loads = static_cast<int32_t>(Between(1, 3));
    if (Chance(30)) options.max_load_bytes = 1024;  // one at a time
    if (Chance(50)) options.reclaim_policy = ReclaimPolicy::kLru;
    options.cache_idle_adapters = Chance(80);
    options.prefetch_adapters = Chance(80);
    if (Chance(20)) options.adapter_pool_share = 0.3;
    return options;
  }

  // Half of the runners take all that comes.
  RunnerLimits RandomLimits() {
    RunnerLimits limits;
    if (Chance(50)) limits.host_pages = Between(1, 40);
    limits.host_page_time = absl::Microseconds(Between(1, 400));
    if (Chance(50)) return limits;
    if (Chance(70)) limits.max_step_pages = Between(7, 30);
    if (Chance(70)) limits.max_step_penalties = Between(60, 250);
    if (Chance(70)) limits.max_step_biases = Between(3, 8);
    // Pins leave room for what runs and loads, as Engine::Pin sees to.
    if (Chance(70)) limits.max_adapters = Between(1, 4);
    if (Chance(30)) limits.max_adapter_pages = 2;
    if (Chance(30)) limits.max_adapter_rank = 40;
    if (Chance(50)) limits.max_step_crossing_ranks = Between(0, 100);
    return limits;
  }

  void Arrive() {
    const std::string id = "r" + std::to_string(runs_.size());
    AdapterRef adapter = Chance(60) ? adapters_[Index(adapters_.size())] : nullptr;
    // Few distinct beginnings, so that prefixes meet.
    GenerateRequest request =
        MakeRequest(id, static_cast<int>(Between(1, 70)), static_cast<int>(Between(1, 40)),
                    std::move(adapter), static_cast<int32_t>(Between(1, 3)));
    if (Chance(70)) Invoke(*adapters_[3 + Index(3)], &request.prompt);
    if (Chance(70) && request.adapter != nullptr) Invoke(*request.adapter, &request.prompt);
    request.num_choices = Chance(20) ? static_cast<int32_t>(Between(2, 3)) : 1;
    request.ignore_eos = Chance(50);
    request.priority = static_cast<int32_t>(Between(0, 1));
    request.sampling.seed = static_cast<uint64_t>(Between(0, 5));
    if (Chance(40)) request.sampling.repetition_penalty = 1.5f;
    if (Chance(20)) request.sampling.presence_penalty = 0.5f;
    for (int64_t i = Chance(30) ? Between(1, 3) : 0; i > 0; --i) {
      request.sampling.logit_bias.emplace_back(static_cast<int32_t>(i), 1.0f);
    }
    if (harness_.Submit(request).ok()) {
      runs_[id] = {request, false};
    } else {
      ++refused_;
    }
  }

  // At one or two of few places, so that prefixes meet behind them too.
  void Invoke(const AdapterVersion& adapter, std::vector<int32_t>* prompt) {
    constexpr size_t kPlaces[] = {0, 5, 14, 15, 16, 17, 32, 40, 47, 60};
    for (int64_t times = Between(1, 2); times > 0; --times) {
      const size_t at = kPlaces[Index(std::size(kPlaces))];
      if (at + adapter.invocation().size() > prompt->size()) continue;
      std::copy(adapter.invocation().begin(), adapter.invocation().end(),
                prompt->begin() + static_cast<ptrdiff_t>(at));
    }
  }

  void CancelOne() {
    if (runs_.empty()) return;
    auto run = runs_.begin();
    std::advance(run, static_cast<ptrdiff_t>(Index(runs_.size())));
    if (harness_.Ended(run->first)) return;
    run->second.cancelled = true;
    harness_.scheduler().Cancel(run->first, -1, FinishReason::kCancelled);
    harness_.Listen();
  }

  void PinOne() {
    if (limits_.max_adapters != RunnerLimits::kNone) return;
    (void)harness_.scheduler().Pin(adapters_[Index(adapters_.size())], Chance(50));
  }

  // The oldest load ends, or first says that it arrives.
  void EndLoad() {
    const uint64_t ticket = harness_.loads().under_way.front().ticket;
    if (Chance(30) && ticket != arrived_) {
      arrived_ = ticket;
      harness_.ArriveLoad({.layers_there = static_cast<int32_t>(Between(0, 2)),
                           .at = harness_.now(),
                           .layer_time = absl::Milliseconds(Between(0, 3))});
    } else {
      harness_.EndLoad();
    }
  }

  void CheckPages() {
    const EngineStats stats = harness_.Stats();
    ASSERT_GE(stats.pages_sequences, 0);
    ASSERT_EQ(stats.pages_free + stats.pages_prefixes + stats.pages_adapters +
                  stats.pages_sequences + stats.pages_draining,
              stats.pages_total);
  }

  std::mt19937 random_;
  uint64_t arrived_ = 0;  // the ticket of the last load that did
  const EngineOptions options_;
  const RunnerLimits limits_;
  SchedulerHarness harness_;
  std::vector<AdapterRef> adapters_;
  std::map<std::string, Run> runs_;
  uint64_t refused_ = 0;
};

TEST(SchedulePropertyTest, EveryRequestGetsWhatItGetsAloneAndEnds) {
  uint64_t preemptions = 0, evictions = 0, cached = 0, refused = 0, crossings = 0;
  for (uint32_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Schedule schedule(seed);
    schedule.Play();
    if (HasFatalFailure()) return;
    schedule.CheckTokens();
    if (HasFatalFailure()) return;
    schedule.CheckNothingHeld();
    preemptions += schedule.preemptions();
    evictions += schedule.evictions();
    cached += schedule.cached();
    refused += schedule.refused();
    crossings += schedule.crossings();
  }
  // The schedules really went where it hurts.
  EXPECT_GT(preemptions, 100u);
  EXPECT_GT(evictions, 1000u);
  EXPECT_GT(cached, 10000u);
  EXPECT_GT(refused, 100u);
  EXPECT_GT(crossings, 1000u);
}

}  // namespace
}  // namespace chorus::engine
