// In which order idle adapters are given up, and what loading them again is taken to cost.
#include "engine/adapters/load_cost.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/residency_harness.h"

namespace chorus::engine {
namespace {

using test::ResidencyHarness;
using Resident = Residency::Resident;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Gives one up after the other, and says which.
std::vector<std::string> GiveUpAll(ResidencyHarness& harness) {
  std::vector<std::string> order;
  std::vector<std::string> before = harness.Names();
  while (harness.residency.CheapestWorth(kAnyone).has_value()) {
    harness.residency.ReclaimCheapest(kAnyone);
    const std::vector<std::string> after = harness.Names();
    std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                        std::back_inserter(order));
    before = after;
  }
  return order;
}

TEST(ResidencyOrderTest, UnderLruTheLongestIdleGoesFirst) {
  ResidencyHarness harness(20, 0, ReclaimPolicy::kLru);
  const AdapterRef a = harness.Adapter("t", 1, 2);
  const AdapterRef b = harness.Adapter("t", 2, 5);
  const AdapterRef c = harness.Adapter("t", 3, 2);
  for (const AdapterRef& one : {a, b, c, a}) harness.Use(one);
  EXPECT_EQ(harness.residency.ReclaimablePages(kAnyone), 9);
  EXPECT_THAT(GiveUpAll(harness), ElementsAre("t/adapter2", "t/adapter3", "t/adapter1"));
  EXPECT_EQ(harness.residency.num_evictions(), 3u);
  EXPECT_EQ(harness.pool.num_free(), 20);
}

TEST(ResidencyOrderTest, WhatWasUsedAgainOutlivesWhatWasNot) {
  ResidencyHarness harness;
  const AdapterRef a = harness.Adapter("t", 1, 2);
  const AdapterRef b = harness.Adapter("t", 2, 2);
  const AdapterRef c = harness.Adapter("t", 3, 2);
  for (const AdapterRef& one : {a, a, a, b, b, c}) harness.Use(one);
  EXPECT_THAT(GiveUpAll(harness), ElementsAre("t/adapter3", "t/adapter2", "t/adapter1"));
}

TEST(ResidencyOrderTest, OfTwoThatAreUsedAlikeTheOneThatSavesMoreForItsPagesStays) {
  ResidencyHarness harness;
  const AdapterRef large = harness.Adapter("t", 1, 8);
  const AdapterRef small = harness.Adapter("t", 2, 2);
  // A latency of 4 ms and 1 ms a page: 1.5 ms for each page of the large one, 3 ms of the small
  // one.
  for (int i = 0; i < 50; ++i) {
    harness.Use(large, absl::Milliseconds(12));
    harness.Use(small, absl::Milliseconds(6));
    GiveUpAll(harness);
  }
  for (int i = 0; i < 3; ++i) {
    harness.Use(small);
    harness.Use(large);
  }
  EXPECT_THAT(GiveUpAll(harness), ElementsAre("t/adapter1", "t/adapter2"));
}

TEST(ResidencyOrderTest, WhatComesBackIsNotNew) {
  ResidencyHarness harness;
  const AdapterRef often = harness.Adapter("t", 1, 2);
  for (int i = 0; i < 3; ++i) {
    harness.Use(often);
    GiveUpAll(harness);
  }
  harness.Use(often);
  harness.Use(harness.Adapter("t", 2, 2));  // later, but for the first time
  EXPECT_THAT(GiveUpAll(harness), ElementsAre("t/adapter2", "t/adapter1"));
}

TEST(ResidencyOrderTest, WhatWasPopularGoesInTheEnd) {
  ResidencyHarness harness(6, 0);
  const AdapterRef old = harness.Adapter("t", 1, 2);
  for (int i = 0; i < 100; ++i) harness.Use(old);
  int turns = 0;
  for (; turns < 100; ++turns) {  // three others want the two places beside it
    const AdapterRef one = harness.Adapter("t", static_cast<uint8_t>(2 + turns % 3), 2);
    if (harness.pool.num_free() < 2 && !harness.IsResident(one)) {
      harness.residency.ReclaimCheapest(kAnyone);
    }
    if (!harness.IsResident(old)) break;
    harness.Use(one);
  }
  EXPECT_GT(turns, 3);
  EXPECT_LT(turns, 40);
}

TEST(ResidencyOrderTest, WithoutItsAdapterAPrefixIsWorthHalf) {
  PagePool pool({.num_ids = 20, .num_slabs = 2, .kv_heads = 1, .head_dim = 16});
  ReclaimOrder order;
  PrefixCache prefixes(&pool, &order);
  ResidencyHarness harness;  // for its adapters and loads
  Residency residency(
      {.pool = &pool, .loads = &harness.loads, .order = &order, .prefixes = &prefixes}, pool.view(),
      {});
  const AdapterRef adapter = harness.Adapter("t", 1, 2);
  Resident* resident = residency.AddWaiter(adapter);
  residency.StartLoad(resident, *pool.Acquire(2), harness.now);
  residency.OnLoadDone({resident->ticket, absl::OkStatus(), absl::Seconds(1)}, harness.now);
  harness.loads.jobs.clear();
  residency.RemoveWaiter(resident);
  PageLease lease = *pool.Acquire(1);
  const auto keys = PageKeys({RootKey("t", "", "base"), {{"adapter", 0}}},
                             std::vector<int32_t>(kernels::kPageTokens, 1));
  prefixes.SetPageSeconds(10.0);
  prefixes.Publish(keys, 0, Residency::OwnerOf(Residency::KeyOf(*adapter)), &lease);
  lease.Release();
  const double with_adapter = *prefixes.CheapestWorth(kAnyone);
  ASSERT_GT(with_adapter, 0.0);
  residency.ReclaimCheapest(kAnyone);
  EXPECT_THAT(*prefixes.CheapestWorth(kAnyone), DoubleNear(with_adapter / 2, 1e-12));
}

TEST(LoadCostTest, FindsLatencyAndRate) {
  LoadCost cost;
  EXPECT_GT(cost.Seconds(1), 0.0);  // before anything is known
  EXPECT_GT(cost.Seconds(40), cost.Seconds(10));
  for (int i = 0; i < 100; ++i) {
    const int64_t pages = 10 + i % 4 * 10;
    cost.Observe(pages, 0.004 + 0.001 * static_cast<double>(pages));
  }
  EXPECT_THAT(cost.Seconds(5), DoubleNear(0.009, 1e-6));
  EXPECT_THAT(cost.Seconds(100), DoubleNear(0.104, 1e-6));
}

TEST(LoadCostTest, FollowsWhatHasChanged) {
  LoadCost cost;
  for (int i = 0; i < 100; ++i) cost.Observe(10 + i % 2 * 10, 1.0);
  for (int i = 0; i < 200; ++i) cost.Observe(10 + i % 2 * 10, 0.001);
  EXPECT_THAT(cost.Seconds(15), DoubleNear(0.001, 1e-4));
}

TEST(LoadCostTest, IsNeverBelowZero) {
  LoadCost falling;  // large ones happened to be quick
  for (int i = 0; i < 20; ++i) falling.Observe(i % 2 == 0 ? 10 : 100, i % 2 == 0 ? 0.9 : 0.1);
  EXPECT_GE(falling.Seconds(1), 0.0);
  EXPECT_GE(falling.Seconds(1000), falling.Seconds(1));
  LoadCost steep;
  for (int i = 0; i < 20; ++i) steep.Observe(i % 2 == 0 ? 10 : 20, i % 2 == 0 ? 0.001 : 1.0);
  EXPECT_GE(steep.Seconds(1), 0.0);
  LoadCost alike;
  for (int i = 0; i < 20; ++i) alike.Observe(10, 0.02);
  EXPECT_THAT(alike.Seconds(20), DoubleNear(0.04, 1e-9));
}

}  // namespace
}  // namespace chorus::engine
