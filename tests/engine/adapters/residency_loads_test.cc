// Loads under way: how many and how large, in which order, and which of them yield.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/residency_harness.h"

namespace chorus::engine {
namespace {

using test::ResidencyHarness;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Of the harness's pool.
int64_t PageBytes() {
  const test::ResidencyHarness harness;
  return harness.pool.view().total_bytes() / harness.pool.num_pages();
}

TEST(ResidencyLoadsTest, AnEarlierWaiterDisplacesTheLastOneThatHasNotBegun) {
  ResidencyHarness harness(20, {.max_loads = 2});
  Residency& residency = harness.residency;
  harness.loads.begun = [](uint64_t) { return false; };
  Resident* urgent = residency.AddWaiter(harness.Adapter("t", 1, 2));
  Resident* second = residency.AddWaiter(harness.Adapter("t", 2, 2));
  Resident* third = residency.AddWaiter(harness.Adapter("t", 3, 2));
  residency.SetWaiterRank(second, 1);
  residency.SetWaiterRank(third, 2);
  harness.StartLoad(third);
  harness.StartLoad(second);
  EXPECT_FALSE(residency.MakeLoadRoom(*urgent, 2));  // nobody is behind it there
  EXPECT_EQ(third->state, ResidencyState::kLoading);
  EXPECT_TRUE(residency.MakeLoadRoom(*urgent, 0));
  EXPECT_EQ(third->state, ResidencyState::kDisk);
  EXPECT_EQ(third->waiting, 1);
  EXPECT_EQ(second->state, ResidencyState::kLoading);
  EXPECT_EQ(harness.pool.num_free(), 18);
  EXPECT_EQ(residency.num_loading(), 1);
  EXPECT_THAT(harness.loads.cancelled, IsEmpty());
  for (Resident* one : {urgent, second, third}) residency.RemoveWaiter(one);
}

TEST(ResidencyLoadsTest, WhatHasBegunOrIsAdmittedIsNotDisplaced) {
  ResidencyHarness harness(20, {.max_loads = 2});
  Residency& residency = harness.residency;
  Resident* begun = residency.AddWaiter(harness.Adapter("t", 1, 2));
  Resident* admitted = residency.AddWaiter(harness.Adapter("t", 2, 2));
  Resident* urgent = residency.AddWaiter(harness.Adapter("t", 3, 2));
  harness.StartLoad(begun);
  residency.Hold(admitted);
  residency.RemoveWaiter(admitted);
  harness.StartLoad(admitted);
  harness.loads.begun = [&](uint64_t ticket) { return ticket == begun->ticket; };
  EXPECT_FALSE(residency.MakeLoadRoom(*urgent, 0));
  EXPECT_EQ(residency.num_loading(), 2);
  EXPECT_EQ(begun->state, ResidencyState::kLoading);
  residency.RemoveWaiter(begun);
  residency.RemoveWaiter(urgent);
  residency.Unhold(admitted);
}

TEST(ResidencyLoadsTest, BytesUnderWayAreBoundedButForASingleLoad) {
  ResidencyHarness harness(20, {.max_load_bytes = 5 * PageBytes()});
  Residency& residency = harness.residency;
  Resident* a = residency.AddWaiter(harness.Adapter("t", 1, 3));
  Resident* b = residency.AddWaiter(harness.Adapter("t", 2, 2));
  Resident* c = residency.AddWaiter(harness.Adapter("t", 3, 1));
  Resident* large = residency.AddWaiter(harness.Adapter("t", 4, 9));
  ASSERT_TRUE(residency.MakeLoadRoom(*a, 0));
  harness.StartLoad(a);
  ASSERT_TRUE(residency.MakeLoadRoom(*b, 0));
  harness.StartLoad(b);
  EXPECT_FALSE(residency.MakeLoadRoom(*c, 0));
  harness.Answer(a->ticket, absl::OkStatus());
  EXPECT_TRUE(residency.MakeLoadRoom(*c, 0));
  EXPECT_FALSE(residency.MakeLoadRoom(*large, 0));
  harness.Answer(b->ticket, absl::DataLossError("torn"));
  EXPECT_TRUE(residency.MakeLoadRoom(*large, 0));
  for (Resident* one : {a, b, c, large}) residency.RemoveWaiter(one);
}

TEST(ResidencyLoadsTest, TheQueueOfLoadsFollowsThatOfRequests) {
  ResidencyHarness harness;
  Residency& residency = harness.residency;
  Resident* a = residency.AddWaiter(harness.Adapter("t", 1, 2));
  Resident* b = residency.AddWaiter(harness.Adapter("t", 2, 2));
  residency.SetWaiterRank(a, 0);
  residency.SetWaiterRank(b, 1);
  harness.StartLoad(a);
  harness.StartLoad(b);
  const auto ranks = [&] {
    std::vector<int64_t> ranks;
    for (const auto& [ticket, job] : harness.loads.jobs) ranks.push_back(job.rank);
    return ranks;
  };
  EXPECT_THAT(ranks(), ElementsAre(0, 1));
  residency.ClearWaiterRanks();
  residency.SetWaiterRank(b, 3);
  residency.OrderLoads();
  EXPECT_THAT(ranks(), ElementsAre(kNobodyWaits, 3));
  residency.Hold(a);
  residency.OrderLoads();
  EXPECT_THAT(ranks(), ElementsAre(kAnyone, 3));  // admitted: before all who wait
  residency.RemoveWaiter(a);
  residency.RemoveWaiter(b);
  residency.Unhold(a);
}

TEST(ResidencyLoadsTest, ACancelledLoadThatHasNotBegunGivesItsPagesBackAtOnce) {
  ResidencyHarness harness;
  harness.loads.begun = [](uint64_t) { return false; };
  Resident* a = harness.residency.AddWaiter(harness.Adapter("t", 1, 3));
  harness.StartLoad(a);
  harness.residency.RemoveWaiter(a);
  EXPECT_EQ(harness.pool.num_free(), 20);
  EXPECT_THAT(harness.loads.jobs, IsEmpty());
  EXPECT_THAT(harness.residency.Snapshot(), IsEmpty());
}

TEST(ResidencyLoadsTest, StagedLoadsYieldTheLastWaitersFirst) {
  ResidencyHarness harness;
  Residency& residency = harness.residency;
  std::vector<Resident*> waiters;
  for (uint8_t i = 0; i < 3; ++i) {
    waiters.push_back(residency.AddWaiter(harness.Adapter("t", i, 2)));
    residency.SetWaiterRank(waiters.back(), i);
    harness.StartLoad(waiters.back());
  }
  harness.loads.begun = [&](uint64_t ticket) { return ticket == waiters[0]->ticket; };
  EXPECT_TRUE(residency.WithdrawStaged(kAnyone));
  EXPECT_EQ(waiters[2]->state, ResidencyState::kDisk);
  EXPECT_TRUE(residency.WithdrawStaged(kAnyone));
  EXPECT_EQ(waiters[1]->state, ResidencyState::kDisk);
  EXPECT_FALSE(residency.WithdrawStaged(kAnyone));
  EXPECT_FALSE(residency.IsYielding());
  EXPECT_TRUE(residency.CancelStaged());
  EXPECT_TRUE(residency.IsYielding());
  EXPECT_FALSE(residency.CancelStaged());
  harness.Answer(waiters[0]->ticket, absl::CancelledError(""));
  EXPECT_FALSE(residency.IsYielding());
  EXPECT_EQ(harness.pool.num_free(), 20);
  for (Resident* one : waiters) residency.RemoveWaiter(one);
}

TEST(ResidencyLoadsTest, WithoutACacheAnAdapterGoesWithItsLastUser) {
  ResidencyHarness harness(20, {.pin_pages = 8, .keep_idle = false});
  const AdapterRef a = harness.Adapter("t", 1, 2);
  harness.Use(a);
  EXPECT_THAT(harness.residency.Snapshot(), IsEmpty());
  EXPECT_EQ(harness.pool.num_free(), 20);
  ASSERT_TRUE(harness.residency.Pin(a, true).ok());
  harness.Use(a);
  EXPECT_THAT(harness.residency.Snapshot(), SizeIs(1));
}

}  // namespace
}  // namespace chorus::engine
