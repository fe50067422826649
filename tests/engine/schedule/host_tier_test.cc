// KV on the host, outside the pool: who comes back to it computes less, and never anything else.
#include "engine/schedule/host_tier.h"

#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

EngineOptions Options() {
  EngineOptions options;
  options.max_step_tokens = 64;
  options.max_prefill_chunk = 32;
  options.admission_watermark = 0.0;
  options.pin_budget = 0.0;
  return options;
}

RunnerLimits Slots(int64_t slots, absl::Duration page_time = absl::Microseconds(10)) {
  RunnerLimits limits;
  limits.host_pages = slots;
  limits.host_page_time = page_time;
  return limits;
}

// Rows that were computed until nothing moves any more.
int64_t Rows(SchedulerHarness* harness) {
  int64_t rows = 0;
  while (harness->Step()) rows += harness->last_plan().num_rows();
  return rows;
}

// Two requests that the pool holds at their beginning only, so that the younger one has to leave.
struct Rivals {
  explicit Rivals(const RunnerLimits& limits) : harness(Options(), 8, limits) {
    EXPECT_TRUE(harness.Submit(MakeRequest("old", 30, 60, nullptr, 1)).ok());
    EXPECT_TRUE(harness.Submit(MakeRequest("young", 30, 60, nullptr, 40)).ok());
    rows = Rows(&harness);
  }

  static constexpr int64_t kNeeded = 2 * (30 + 59);  // the last token of each is not computed
  SchedulerHarness harness;
  int64_t rows = 0;
};

void ExpectRightTokens(Rivals* rivals) {
  for (const auto& [id, first] : {std::pair("old", 1), std::pair("young", 40)}) {
    const GenerateRequest request = MakeRequest(id, 30, 60, nullptr, first);
    EXPECT_EQ(rivals->harness.Hear(id).tokens,
              FakeRunner::ExpectedTokens(request.prompt, nullptr, 0, 0, 60));
  }
}

TEST(HostTierTest, WhoIsPreemptedComesBackToItsPages) {
  Rivals without(Slots(0));
  ASSERT_GE(without.harness.Stats().preemptions, 1u);
  Rivals with(Slots(16));
  const EngineStats stats = with.harness.Stats();
  ASSERT_GE(stats.preemptions, 1u);
  EXPECT_GE(stats.pages_restored, 1u);
  EXPECT_GE(stats.pages_saved, stats.pages_restored);
  EXPECT_LE(stats.host_pages_used, 16);
  // At most the page that was taken at once and the one that was not full.
  EXPECT_LE(with.rows, Rivals::kNeeded + static_cast<int64_t>(stats.preemptions) * 32);
  EXPECT_GT(without.rows, with.rows);
  ExpectRightTokens(&without);
  ExpectRightTokens(&with);
}

TEST(HostTierTest, NothingMovesWhereComputingIsFaster) {
  // A row takes 1 ms ÷ 32 at least, so a page 0.5 ms: half of that each way is too much.
  SchedulerHarness harness(Options(), 8, Slots(16, absl::Microseconds(300)));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(harness.Submit(MakeRequest(std::to_string(i), 60, 2, nullptr, 13 * i)).ok());
  }
  ASSERT_TRUE(harness.Step());  // from now on it is known what a row takes
  const uint64_t saved = harness.Stats().pages_saved;
  Rows(&harness);
  EXPECT_EQ(harness.Stats().pages_saved, saved);
  EXPECT_EQ(harness.Stats().pages_restored, 0u);
}

TEST(HostTierTest, PromptThatLeftThePoolIsFoundOnTheHost) {
  SchedulerHarness harness(Options(), 8, Slots(64));
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 80, 2, nullptr, 1)).ok());
  Rows(&harness);
  // It is saved in the steps of others, before they push it out of the pool.
  ASSERT_TRUE(harness.Submit(MakeRequest("small", 3, 4, nullptr, 9)).ok());
  Rows(&harness);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(
        harness.Submit(MakeRequest("other" + std::to_string(i), 80, 20, nullptr, 7 * i + 20)).ok());
    Rows(&harness);
  }
  const uint64_t before = harness.Stats().pages_restored;
  ASSERT_TRUE(harness.Submit(MakeRequest("again", 80, 2, nullptr, 1)).ok());
  Rows(&harness);
  EXPECT_EQ(harness.Admission("again").cached_tokens, 64);  // a token is left to compute
  EXPECT_GE(harness.Stats().pages_restored, before + 1);
  EXPECT_EQ(harness.Hear("again").tokens, harness.Hear("first").tokens);
}

TEST(HostTierTest, DeletedAdapterLeavesNothingToBeFound) {
  SchedulerHarness harness(Options(), 9, Slots(64));
  const AdapterRef adapter = harness.Adapter("a", 1);
  const auto run = [&](const std::string& id, AdapterRef of, int32_t first) {
    ASSERT_TRUE(harness.Submit(MakeRequest(id, 80, 20, std::move(of), first)).ok());
    harness.RunToEnd();
  };
  run("first", adapter, 1);
  for (int i = 0; i < 4; ++i) run("other" + std::to_string(i), nullptr, 7 * i + 20);
  ASSERT_GT(harness.Stats().host_pages_used, 0);
  harness.scheduler().Forget(Residency::KeyOf(*adapter));
  const uint64_t before = harness.Stats().pages_restored;
  run("again", adapter, 1);
  EXPECT_EQ(harness.Admission("again").cached_tokens, 0);
  EXPECT_EQ(harness.Stats().pages_restored, before);
}

TEST(HostTierTest, WithoutAPrefixCacheNothingIsKept) {
  EngineOptions options = Options();
  options.prefix_cache = false;
  SchedulerHarness harness(options, 8, Slots(16));
  ASSERT_TRUE(harness.Submit(MakeRequest("old", 30, 60, nullptr, 1)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("young", 30, 60, nullptr, 40)).ok());
  Rows(&harness);
  EXPECT_EQ(harness.Stats().host_pages_total, 0);
  EXPECT_EQ(harness.Stats().pages_saved, 0u);
}

}  // namespace
}  // namespace chorus::engine
