// Loads for requests that wait: begun on arrival, with pages that nobody who runs was promised, and
// given up before anybody is preempted. And what is switched off to compare with servers that do
// without.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// Two run; all others wait, whatever pages there are.
EngineOptions Options() {
  EngineOptions options;
  options.max_running = 2;
  options.max_step_tokens = 64;
  options.admission_watermark = 0.0;
  options.pin_budget = 0.0;
  options.prefix_cache = false;
  return options;
}

// Two sequences that grow to 6 pages each, and one behind them whose adapter has 7.
class StagedLoads {
 public:
  StagedLoads(const EngineOptions& options, int64_t pages) : harness(options, pages) {
    harness.loads().num_threads = 0;
    CHORUS_CHECK(harness.Submit(MakeRequest("a", 16, 80, nullptr, 1)).ok());
    CHORUS_CHECK(harness.Submit(MakeRequest("b", 16, 80, nullptr, 2)).ok());
    CHORUS_CHECK(harness.Step());
    CHORUS_CHECK(harness.Submit(MakeRequest("waits", 4, 2, harness.Adapter("x", 7), 3)).ok());
    CHORUS_CHECK(harness.Step());
  }
  void ExpectAllEnd() {
    harness.RunToEnd();
    EXPECT_THAT(harness.Hear("a").tokens, SizeIs(80));
    EXPECT_THAT(harness.Hear("b").tokens, SizeIs(80));
    EXPECT_THAT(harness.Hear("waits").tokens, SizeIs(2));
  }

  SchedulerHarness harness;
};

TEST(StagedLoadsTest, ADecodeTakesThePagesOfALoadThatHasNotBegun) {
  StagedLoads staged(Options(), 13);
  SchedulerHarness& harness = staged.harness;
  ASSERT_THAT(harness.loads().under_way, SizeIs(1));  // 4 pages for those who run, 7 for it
  while (!harness.loads().under_way.empty()) ASSERT_TRUE(harness.Step());
  EXPECT_EQ(harness.Stats().pages_adapters, 0);
  staged.ExpectAllEnd();
  EXPECT_EQ(harness.Stats().preemptions, 0u);
}

TEST(StagedLoadsTest, WhoNeedsThePagesOfALoadThatHasBegunSitsOutUntilItNoticesThatItIsCancelled) {
  StagedLoads staged(Options(), 13);
  SchedulerHarness& harness = staged.harness;
  harness.loads().num_threads = 1;
  while (harness.Step()) {
  }
  EXPECT_THAT(harness.loads().cancelled, SizeIs(1));  // and nobody is preempted
  harness.EndLoad();
  EXPECT_TRUE(harness.Step());
  staged.ExpectAllEnd();
  EXPECT_EQ(harness.Stats().preemptions, 0u);
}

TEST(StagedLoadsTest, AStoreThatHangsHoldsNobodyUpForLong) {
  StagedLoads staged(Options(), 13);
  SchedulerHarness& harness = staged.harness;
  harness.loads().num_threads = 1;
  while (harness.Step()) {
  }
  ASSERT_THAT(harness.loads().cancelled, SizeIs(1));
  for (int i = 0; i < 1000 && !harness.Ended("a"); ++i) {  // the load never answers
    if (!harness.Step()) harness.now() += absl::Milliseconds(10);
  }
  EXPECT_TRUE(harness.Ended("a"));
  EXPECT_GE(harness.Stats().preemptions, 1u);
  staged.ExpectAllEnd();
}

TEST(StagedLoadsTest, NothingIsStagedOfWhatThoseWhoRunNeedNext) {
  StagedLoads staged(Options(), 12);  // 4 pages, 7 for the adapter, and not one each to grow
  EXPECT_THAT(staged.harness.loads().under_way, IsEmpty());
  staged.ExpectAllEnd();
}

TEST(StagedLoadsTest, AConservativeServerPromisesPagesToTheEnd) {
  EngineOptions options = Options();
  options.admission = AdmissionMode::kConservative;
  {
    StagedLoads staged(options, 18);  // 12 pages for those who run
    EXPECT_THAT(staged.harness.loads().under_way, IsEmpty());
    staged.ExpectAllEnd();
  }
  StagedLoads staged(options, 19);
  EXPECT_THAT(staged.harness.loads().under_way, SizeIs(1));
  staged.harness.loads().num_threads = 1;
  for (int i = 0; i < 70; ++i) ASSERT_TRUE(staged.harness.Step());  // however long it takes
  EXPECT_THAT(staged.harness.loads().cancelled, IsEmpty());
  staged.ExpectAllEnd();
  EXPECT_EQ(staged.harness.Stats().preemptions, 0u);
}

TEST(StagedLoadsTest, AnUrgentRequestsLoadOvertakesThoseNotBegun) {
  EngineOptions options = Options();
  options.max_loads = 2;
  StagedLoads staged(options, 60);
  SchedulerHarness& harness = staged.harness;
  ASSERT_TRUE(harness.Submit(MakeRequest("later", 4, 2, harness.Adapter("y", 2), 4)).ok());
  harness.Step();
  ASSERT_THAT(harness.loads().under_way, SizeIs(2));
  GenerateRequest urgent = MakeRequest("urgent", 4, 2, harness.Adapter("z", 2), 5);
  urgent.priority = 1;
  ASSERT_TRUE(harness.Submit(urgent).ok());
  harness.Step();
  ASSERT_THAT(harness.loads().under_way, SizeIs(2));
  EXPECT_EQ(harness.loads().under_way[0].adapter->name(), "x");
  EXPECT_EQ(harness.loads().under_way[0].rank, 1);
  EXPECT_EQ(harness.loads().under_way[1].adapter->name(), "z");
  EXPECT_EQ(harness.loads().under_way[1].rank, 0);
  harness.RunToEnd();
  for (const char* id : {"a", "b", "waits", "later", "urgent"}) EXPECT_TRUE(harness.Ended(id));
}

TEST(AblationTest, WithoutPrefetchALoadBeginsWhenItsRequestIsAdmitted) {
  EngineOptions options = Options();
  options.prefetch_adapters = false;
  StagedLoads staged(options, 60);
  EXPECT_THAT(staged.harness.loads().under_way, IsEmpty());
  while (!staged.harness.Ended("b")) {
    ASSERT_THAT(staged.harness.loads().under_way, IsEmpty());
    ASSERT_TRUE(staged.harness.Step());
  }
  staged.ExpectAllEnd();
  EXPECT_EQ(staged.harness.Stats().adapter_loads, 1u);
}

TEST(AblationTest, WithoutACacheOfIdleAdaptersEachRequestLoadsItsOwn) {
  for (const bool cache : {true, false}) {
    EngineOptions options = Options();
    options.cache_idle_adapters = cache;
    SchedulerHarness harness(options, 30);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(
          harness.Submit(MakeRequest("r" + std::to_string(i), 4, 2, harness.Adapter("x", 3))).ok());
      harness.RunToEnd();
      EXPECT_EQ(harness.Stats().pages_adapters, cache ? 3 : 0);
    }
    EXPECT_EQ(harness.Stats().adapter_loads, cache ? 1u : 3u);
  }
}

TEST(AblationTest, InADividedPoolNeitherTakesTheOthersPages) {
  EngineOptions options = Options();
  options.adapter_pool_share = 0.25;  // 5 pages of 20
  options.prefix_cache = true;
  SchedulerHarness harness(options, 20);
  EXPECT_EQ(harness.Submit(MakeRequest("adapter", 4, 2, harness.Adapter("large", 6))).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(harness.Submit(MakeRequest("long", 200, 60)).code(),  // 17 pages
            absl::StatusCode::kResourceExhausted);
  for (int i = 0; i < 6; ++i) {
    const std::string id = std::to_string(i);
    ASSERT_TRUE(harness.Submit(MakeRequest(id, 60, 50, harness.Adapter(id, 2), i)).ok());
  }
  for (int i = 0; !harness.scheduler().idle(); ++i) {
    ASSERT_LT(i, 10000);
    if (!harness.Step()) {
      ASSERT_FALSE(harness.loads().under_way.empty());
      harness.EndLoad();
    }
    EXPECT_LE(harness.Stats().pages_adapters, 5);
    EXPECT_LE(harness.Stats().pages_sequences + harness.Stats().pages_prefixes, 15);
  }
  EXPECT_EQ(harness.Stats().adapter_loads, 6u);
  EXPECT_GT(harness.Stats().adapter_evictions, 0u);
}

}  // namespace
}  // namespace chorus::engine
