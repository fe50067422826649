// The first steps of an adapter whose last layers are still being copied: only where nobody who
// shares them waits.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class ArrivingStepTest : public ::testing::Test {
 protected:
  // A prompt of 256 tokens takes 100 ms, so one of 128 takes 50; the second of the two layers is
  // wanted after 25.
  ArrivingStepTest() : harness_({.max_step_tokens = 300, .max_prefill_chunk = 256}, 256) {
    harness_.step_time = absl::Milliseconds(100);
    EXPECT_TRUE(harness_.Submit(MakeRequest("running", 256, 100)).ok());
    EXPECT_TRUE(harness_.Step());
    harness_.step_time = absl::Milliseconds(10);
  }

  // A cold request whose load has nothing but copies left: one of two layers is there, the other
  // will be in `left`.
  void SubmitCold(int prompt, absl::Duration left, int max_tokens = 3) {
    ASSERT_TRUE(harness_.Submit(MakeRequest("cold", prompt, max_tokens, adapter_, 7)).ok());
    ASSERT_TRUE(harness_.Step());
    EXPECT_THAT(harness_.last_plan().tokens, SizeIs(1));  // it waits, the other goes on
    ASSERT_THAT(harness_.loads().under_way, SizeIs(1));
    arrivals_ = harness_.ArriveLoad({.layers_there = 1, .at = harness_.now(), .layer_time = left});
  }

  SchedulerHarness harness_;
  std::shared_ptr<LayerArrivals> arrivals_;
  const AdapterRef adapter_ = harness_.Adapter("x", 5);
};

TEST_F(ArrivingStepTest, AStepThatOutlastsTheCopiesBegins) {
  SubmitCold(128, absl::Milliseconds(24));
  ASSERT_TRUE(harness_.Step());
  const StepPlan& plan = harness_.last_plan();
  EXPECT_THAT(plan.tokens, SizeIs(129));
  EXPECT_THAT(plan.arrivals, SizeIs(1));
  ASSERT_THAT(plan.segments, SizeIs(1));
  EXPECT_EQ(plan.segments[0].num_rows, 128);
  ASSERT_THAT(plan.slot_changes, SizeIs(1));
  EXPECT_THAT(harness_.Hear("cold").tokens, SizeIs(1));  // before the load's answer
  harness_.EndLoad();
  ASSERT_TRUE(harness_.Step());
  EXPECT_THAT(harness_.last_plan().tokens, SizeIs(2));
  EXPECT_THAT(harness_.last_plan().arrivals, IsEmpty());
  EXPECT_THAT(harness_.last_plan().slot_changes, IsEmpty());
}

TEST_F(ArrivingStepTest, AShorterOneWaitsAndTheOthersGoOn) {
  SubmitCold(128, absl::Milliseconds(95));
  for (const size_t rows : {1u, 1u, 1u, 1u, 1u, 1u, 1u, 129u}) {  // 10 ms each: 25 are left at last
    ASSERT_TRUE(harness_.Step());
    EXPECT_THAT(harness_.last_plan().tokens, SizeIs(rows));
    EXPECT_THAT(harness_.last_plan().arrivals, SizeIs(rows == 1 ? 0 : 1));
  }
}

TEST_F(ArrivingStepTest, NothingBeginsBeforeTheFirstLayerIsThere) {
  SubmitCold(128, absl::Milliseconds(12));
  arrivals_->SetProgress(
      {.layers_there = 0, .at = harness_.now(), .layer_time = absl::Milliseconds(12)});
  for (int i = 0; i < 3; ++i) {  // what was expected of it is long over
    ASSERT_TRUE(harness_.Step());
    EXPECT_THAT(harness_.last_plan().tokens, SizeIs(1));
  }
  arrivals_->SetProgress(
      {.layers_there = 1, .at = harness_.now(), .layer_time = absl::Milliseconds(24)});
  ASSERT_TRUE(harness_.Step());
  EXPECT_THAT(harness_.last_plan().tokens, SizeIs(129));
}

TEST_F(ArrivingStepTest, ItsDecodesWaitForTheEndOfTheCopies) {
  SubmitCold(128, absl::Milliseconds(25));
  ASSERT_TRUE(harness_.Step());
  for (int i = 0; i < 2; ++i) {  // 15 and 5 ms are left: a row alone takes less
    ASSERT_TRUE(harness_.Step());
    EXPECT_THAT(harness_.last_plan().tokens, SizeIs(1));
  }
  harness_.EndLoad();
  ASSERT_TRUE(harness_.Step());
  EXPECT_THAT(harness_.last_plan().tokens, SizeIs(2));
}

TEST_F(ArrivingStepTest, WhatItComputedEndsWithALoadThatFails) {
  SubmitCold(128, absl::Milliseconds(20));
  ASSERT_TRUE(harness_.Step());
  const int64_t running = harness_.Stats().pages_sequences;
  harness_.EndLoad(absl::InternalError("a copy failed"));
  ASSERT_TRUE(harness_.Ended("cold"));
  EXPECT_EQ(harness_.Hear("cold").finished[0].status.code(), absl::StatusCode::kInternal);
  EXPECT_LT(harness_.Stats().pages_sequences, running);
  EXPECT_EQ(harness_.Stats().pages_adapters, 0);
  ASSERT_TRUE(harness_.Step());
  ASSERT_THAT(harness_.last_plan().slot_changes, SizeIs(1));
  EXPECT_EQ(harness_.last_plan().slot_changes[0].contents, nullptr);
}

TEST_F(ArrivingStepTest, NothingIsKnownOfStepsYetSoItWaits) {
  SchedulerHarness fresh({.max_step_tokens = 300, .max_prefill_chunk = 256}, 256);
  ASSERT_TRUE(fresh.Submit(MakeRequest("cold", 128, 3, fresh.Adapter("x", 5))).ok());
  EXPECT_FALSE(fresh.Step());
  fresh.ArriveLoad({.layers_there = 1, .at = fresh.now(), .layer_time = absl::Milliseconds(1)});
  EXPECT_FALSE(fresh.Step());
  fresh.EndLoad();
  EXPECT_TRUE(fresh.Step());
}

TEST_F(ArrivingStepTest, ARequestThatEndsLeavesAnIdleAdapter) {
  SubmitCold(128, absl::Milliseconds(20), /*max_tokens=*/1);
  ASSERT_TRUE(harness_.Step());
  EXPECT_TRUE(harness_.Ended("cold"));
  EXPECT_THAT(harness_.loads().cancelled, IsEmpty());
  harness_.EndLoad();
  ASSERT_THAT(harness_.scheduler().AdapterSnapshot(), SizeIs(1));
  EXPECT_EQ(harness_.scheduler().AdapterSnapshot()[0].state, ResidencyState::kResident);
  ASSERT_TRUE(harness_.Submit(MakeRequest("warm", 64, 3, adapter_, 9)).ok());
  ASSERT_TRUE(harness_.Step());
  EXPECT_THAT(harness_.last_plan().tokens, SizeIs(65));
  EXPECT_THAT(harness_.loads().under_way, IsEmpty());
}

}  // namespace
}  // namespace chorus::engine
