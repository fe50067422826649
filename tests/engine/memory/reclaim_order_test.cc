// What a piece is worth, and what is known of how often pieces are used again.
#include "engine/memory/reclaim_order.h"

#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

TEST(ReclaimOrderTest, WorthIsReuseTimesCostAboveWhatWasGivenUpLast) {
  ReclaimOrder order;
  EXPECT_EQ(order.Of(2.0, 0.5).total(), 1.0);
  order.GaveUp(order.Of(3.0, 1.0));
  EXPECT_EQ(order.Of(2.0, 0.5).total(), 4.0);
  order.GaveUp({.level = 0.0, .gain = 1.0});  // the level never falls
  EXPECT_EQ(order.Of(2.0, 0.5).total(), 4.0);
}

TEST(ReclaimOrderTest, UnderLruOnlyTheLastUseCounts) {
  ReclaimOrder order(ReclaimPolicy::kLru);
  const double dear = order.Of(4.0, 100.0).total();
  order.GaveUp({.level = 1000.0, .gain = 0.0});
  EXPECT_GT(order.Of(0.0, 0.0).total(), dear);
}

TEST(ReuseHistoryTest, WhatWasUsedOnceCountsAsItsKindDoes) {
  ReuseHistory history(100);
  int32_t uses = 0;
  for (uint64_t id = 0; id < 1000; ++id) {
    uses = history.Enter(id);
    if (id % 4 == 0) history.Use(&uses);
  }
  EXPECT_NEAR(history.Estimate(0), 0.25, 0.01);
  EXPECT_NEAR(history.Estimate(2), 2.25, 0.01);
  for (uint64_t id = 0; id < 40000; ++id) history.Enter(1000 + id);  // times change
  EXPECT_LT(history.Estimate(0), 0.02);
}

TEST(ReuseHistoryTest, RemembersNoMoreThanItMay) {
  ReuseHistory history(10);
  for (uint64_t id = 0; id < 1000; ++id) history.Leave(id % 20, 2);
  EXPECT_EQ(history.num_remembered(), 10);
  EXPECT_EQ(history.Enter(19), 3);
  EXPECT_EQ(history.Enter(19), 0);  // it is here: nothing is remembered of it
  EXPECT_EQ(history.Enter(5), 0);   // too long ago
  for (int i = 0; i < 1000; ++i) {  // the same one leaves again and again
    history.Leave(7, 1);
    EXPECT_EQ(history.Enter(7), 2);
  }
  EXPECT_LE(history.num_remembered(), 10);
}

TEST(ReuseHistoryTest, ManyUsesCountNoMoreThanSome) {
  ReuseHistory history(10);
  int32_t uses = history.Enter(1);
  for (int i = 0; i < 1000; ++i) history.Use(&uses);
  EXPECT_LT(history.Estimate(uses), 6.0);
}

}  // namespace
}  // namespace chorus::engine
