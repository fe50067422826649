// Where a gateway sends requests, and what a scenario may say.
#include "bench/simulate/router.h"

#include <map>
#include <numeric>
#include <set>

#include "bench/simulate/scenario.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::bench {
namespace {

using nlohmann::json;

TEST(RouterTest, RoundRobinTakesTurns) {
  Router router(RoutePolicy::kRoundRobin, 3, 1.25, 1);
  std::vector<int> picked;
  for (int i = 0; i < 7; ++i) picked.push_back(router.Pick(i % 2));
  EXPECT_THAT(picked, testing::ElementsAre(0, 1, 2, 0, 1, 2, 0));
}

TEST(RouterTest, RandomReachesAllAboutEvenlyAndRepeatsByItsSeed) {
  Router router(RoutePolicy::kRandom, 4, 1.25, 11), same(RoutePolicy::kRandom, 4, 1.25, 11);
  for (int i = 0; i < 4000; ++i) EXPECT_EQ(router.Pick(0), same.Pick(0));
  for (int replica = 0; replica < 4; ++replica) EXPECT_NEAR(router.load(replica), 1000, 120);
}

TEST(RouterTest, LeastLoadedEvensOut) {
  Router router(RoutePolicy::kLeastLoaded, 3, 1.25, 1);
  for (int i = 0; i < 9; ++i) router.Pick(5);
  for (int replica = 0; replica < 3; ++replica) EXPECT_EQ(router.load(replica), 3);
  router.OnEnded(1);
  EXPECT_EQ(router.Pick(5), 1);
}

TEST(RouterTest, AnAdapterKeepsItsReplicaAndManyAdaptersUseAll) {
  Router router(RoutePolicy::kAffine, 8, 1.25, 1);
  std::map<int, int> homes;
  for (int64_t adapter = 0; adapter < 800; ++adapter) {
    const int home = router.Pick(adapter);
    router.OnEnded(home);
    ++homes[home];
    for (int again = 0; again < 3; ++again) {
      EXPECT_EQ(router.Pick(adapter), home);
      router.OnEnded(home);
    }
  }
  for (int replica = 0; replica < 8; ++replica) EXPECT_NEAR(homes[replica], 100, 40);
}

TEST(RouterTest, OneAdaptersLoadSpillsWithinTheBoundAndAlwaysTheSameWay) {
  Router router(RoutePolicy::kAffine, 10, 1.25, 1);
  std::vector<int> order;  // in which replicas get their first one
  for (int i = 0; i < 200; ++i) {
    const int replica = router.Pick(7);
    if (std::find(order.begin(), order.end(), replica) == order.end()) order.push_back(replica);
    const double bound = std::max(8.0, std::ceil(1.25 * (i + 1) / 10.0));
    EXPECT_LE(static_cast<double>(router.load(replica)), bound);
  }
  EXPECT_GE(order.size(), 8u);
  Router again(RoutePolicy::kAffine, 10, 2.0, 1);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(again.Pick(7), order[0]);  // few are never too many
  EXPECT_EQ(again.Pick(7), order[1]);
}

TEST(RouterTest, OneReplicaMoreMovesOnlyWhatGoesThere) {
  Router few(RoutePolicy::kAffine, 9, 1.25, 1), more(RoutePolicy::kAffine, 10, 1.25, 1);
  int moved = 0;
  for (int64_t adapter = 0; adapter < 1000; ++adapter) {
    const int before = few.Pick(adapter), after = more.Pick(adapter);
    few.OnEnded(before);
    more.OnEnded(after);
    if (before == after) continue;
    EXPECT_EQ(after, 9);
    ++moved;
  }
  EXPECT_NEAR(moved, 100, 40);
}

TEST(RouterTest, TheBaseModelIsEverywhere) {
  Router router(RoutePolicy::kAffine, 4, 1.25, 1);
  std::set<int> picked;
  for (int i = 0; i < 4; ++i) picked.insert(router.Pick(-1));
  EXPECT_EQ(picked.size(), 4u);
}

TEST(ScenarioTest, FieldsGoWhereTheyBelong) {
  const auto scenario = ParseScenario(json::parse(R"({
    "machine": "a10g-llama-7b", "pool_pages": 100, "trace": "t.jsonl",
    "adapters": {"ranks": [64, 8], "modules": "qkvo"},
    "engine": {"max_running": 7, "admission": "conservative", "prefix_cache": false,
               "pin_budget": 0.125},
    "replicas": 4, "router": "least-loaded", "seed": 9})"));
  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_EQ(scenario->trace, "t.jsonl");
  EXPECT_EQ(scenario->fleet.machine.pool_pages, 100);
  EXPECT_THAT(scenario->fleet.ranks, testing::ElementsAre(64, 8));
  EXPECT_TRUE(scenario->fleet.attention_only);
  EXPECT_EQ(scenario->fleet.engine.max_running, 7);
  EXPECT_EQ(scenario->fleet.engine.admission, engine::AdmissionMode::kConservative);
  EXPECT_FALSE(scenario->fleet.engine.prefix_cache);
  EXPECT_EQ(scenario->fleet.engine.pin_budget, 0.125);
  EXPECT_EQ(scenario->fleet.replicas, 4);
  EXPECT_EQ(scenario->fleet.router, RoutePolicy::kLeastLoaded);
  EXPECT_EQ(scenario->fleet.seed, 9u);
}

TEST(ScenarioTest, FaultsAreNamed) {
  const auto fault = [](const std::string& fields) {
    return std::string(
        ParseScenario(json::parse(R"({"machine": "cpu-smollm2", "trace": "t")" + fields + "}"))
            .status()
            .message());
  };
  EXPECT_EQ(fault(""), "");
  EXPECT_EQ(fault(R"(, "replica": 2)"), "scenario: replica: expected no such field, got 2");
  EXPECT_EQ(fault(R"(, "replicas": 0)"),
            "scenario: replicas: expected an integer from 1 on, got 0");
  EXPECT_EQ(fault(R"(, "engine": {"max_runing": 2})"),
            "scenario: engine.max_runing: expected no such field, got 2");
  EXPECT_EQ(fault(R"(, "engine": {"admission": "hopeful"})"),
            "scenario: engine.admission: expected conservative or expected or optimistic, got "
            "\"hopeful\"");
  EXPECT_EQ(fault(R"(, "adapters": {"ranks": [0]})"),
            "scenario: adapters.ranks: expected ranks from 1 to 256, got [0]");
  EXPECT_THAT(fault(R"(, "router": "nearest")"), testing::HasSubstr("got nearest"));
  EXPECT_EQ(ParseScenario(json::parse(R"({"trace": "t"})")).status().message(),
            "scenario: machine: expected a name, got null");
}

}  // namespace
}  // namespace chorus::bench
