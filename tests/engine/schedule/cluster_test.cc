// Adapter clustering: from so many distinct adapters on, those in use go first, and nobody starves.
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

class ClusterTest : public ::testing::Test {
 protected:
  static EngineOptions Options(int cluster) {
    EngineOptions options;
    options.max_running = 4;
    options.max_step_tokens = 64;
    options.max_overtakes = 5;
    options.cluster_adapters = cluster;
    options.max_loads = 16;
    options.prefix_cache = false;
    options.admission_watermark = 0.0;
    return options;
  }

  // Requests with adapters "0" to "7" in turns; the mean of distinct adapters over the steps.
  static double MeanAdapters(int cluster) {
    EngineOptions options = Options(cluster);
    options.max_overtakes = 16;
    SchedulerHarness harness(options, 200);
    std::vector<AdapterRef> adapters;
    for (int i = 0; i < 8; ++i) adapters.push_back(harness.Adapter(std::to_string(i), 1));
    for (int i = 0; i < 400; ++i) {
      const AdapterRef& adapter = adapters[static_cast<size_t>(i) % 8];
      EXPECT_TRUE(harness.Submit(MakeRequest("r" + std::to_string(i), 4, 5, adapter)).ok());
    }
    double sum = 0.0;
    int steps = 0;
    while (!harness.scheduler().idle()) {
      if (harness.Step()) {
        sum += static_cast<double>(harness.last_plan().segments.size());
        ++steps;
      }
      while (!harness.loads().under_way.empty()) harness.EndLoad();
    }
    return sum / steps;
  }
};

TEST_F(ClusterTest, FewerDistinctAdaptersRunTogether) {
  EXPECT_GT(MeanAdapters(0), 3.5);
  EXPECT_LT(MeanAdapters(1), 2.2);
  EXPECT_LT(MeanAdapters(2), 2.9);
  EXPECT_GT(MeanAdapters(8), 3.5);
}

TEST_F(ClusterTest, AnotherAdapterIsPassedABoundedNumberOfTimes) {
  SchedulerHarness harness(Options(1), 200);
  const AdapterRef used = harness.Adapter("used", 1), other = harness.Adapter("other", 1);
  int submitted = 0, passed = 0;
  const auto submit = [&](const AdapterRef& adapter) {
    const std::string id = "r" + std::to_string(submitted++);
    EXPECT_TRUE(harness.Submit(MakeRequest(id, 4, 4, adapter, submitted)).ok());
    return id;
  };
  for (int i = 0; i < 8; ++i) submit(used);
  harness.Step();
  harness.EndLoad();
  harness.Step();
  const int before = submitted;
  ASSERT_TRUE(harness.Submit(MakeRequest("other", 4, 4, other)).ok());
  while (!harness.Admitted("other")) {
    ASSERT_LT(passed, 50);
    submit(used);
    submit(used);
    harness.Step();
    while (!harness.loads().under_way.empty()) harness.EndLoad();
    passed = 0;
    for (int i = before; i < submitted; ++i) passed += harness.Admitted("r" + std::to_string(i));
  }
  EXPECT_LE(passed, 5);
  EXPECT_GE(harness.Stats().blocked[static_cast<size_t>(Blocked::kCluster)], 1u);
}

TEST_F(ClusterTest, WhereThereIsRoomNobodyWaits) {
  SchedulerHarness harness(Options(1), 200);
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(harness.Submit(MakeRequest(name, 4, 4, harness.Adapter(name, 1))).ok());
  }
  harness.Step();
  for (int i = 0; i < 3; ++i) harness.EndLoad();
  ASSERT_TRUE(harness.Step());
  EXPECT_THAT(harness.last_plan().segments, testing::SizeIs(3));
}

// Loads begin for those who wait for rows.
TEST_F(ClusterTest, AdaptersAreStagedWhileAllRowsAreTaken) {
  SchedulerHarness harness(Options(0), 200);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(harness.Submit(MakeRequest("base" + std::to_string(i), 4, 50)).ok());
  }
  ASSERT_TRUE(harness.Step());
  ASSERT_TRUE(harness.Submit(MakeRequest("cold", 4, 4, harness.Adapter("x", 2))).ok());
  ASSERT_TRUE(harness.Step());
  EXPECT_FALSE(harness.Admitted("cold"));
  EXPECT_THAT(harness.loads().under_way, testing::SizeIs(1));
}

}  // namespace
}  // namespace chorus::engine
