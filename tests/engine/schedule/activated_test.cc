// Activated LoRAs in the scheduler: from where in a prompt they compute, whose KV stands before it,
// and what happens while they load.
#include <numeric>

#include "engine/schedule/activation.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<int32_t> kInvocation = {90, 91};

EngineOptions Options() {
  EngineOptions options;
  options.max_running = 8;
  options.max_step_tokens = 128;
  options.max_prefill_chunk = 128;
  options.admission_watermark = 0.0;
  return options;
}

class ActivatedTest : public testing::Test {
 protected:
  // A prompt of `length` tokens that invokes at each of `places`.
  GenerateRequest Invoked(const std::string& id, int length, const AdapterRef& adapter,
                          std::vector<int> places, int max_tokens = 4) {
    GenerateRequest request = MakeRequest(id, length, max_tokens, adapter);
    for (const int at : places) {
      std::copy(kInvocation.begin(), kInvocation.end(), request.prompt.begin() + at);
    }
    return request;
  }

  // Runs it to its end; how much of its prompt was found in the cache.
  int32_t CachedOf(const GenerateRequest& request) {
    EXPECT_EQ(harness_.Submit(request), absl::OkStatus());
    harness_.RunToEnd();
    EXPECT_EQ(harness_.Hear(request.request_id).tokens,
              FakeRunner::ExpectedTokens(request.prompt, request.adapter.get(), 0, 0,
                                         request.max_tokens));
    return harness_.Admission(request.request_id).cached_tokens;
  }

  SchedulerHarness harness_{Options(), 200};
  AdapterRef a_ = harness_.Adapter("a", 2, 8, kInvocation);
  AdapterRef b_ = harness_.Adapter("b", 2, 16, kInvocation);
};

TEST_F(ActivatedTest, TheLastWholeInvocationCounts) {
  const auto from = [&](std::vector<int32_t> prompt) { return ActiveFrom(*a_, prompt); };
  EXPECT_EQ(from({90, 91}), 0);
  EXPECT_EQ(from({90, 91, 5}), 0);
  EXPECT_EQ(from({90, 91, 90, 91, 5}), 2);
  EXPECT_EQ(from({1, 90, 91, 90}), 1);
  EXPECT_EQ(from({1, 90, 90, 91}), 2);
  EXPECT_EQ(from({1, 2, 90}), std::nullopt);
  EXPECT_EQ(from({91, 90}), std::nullopt);
  EXPECT_EQ(from({1}), std::nullopt);
  const std::vector<int32_t> one = {1};
  EXPECT_EQ(ActiveFrom(*harness_.Adapter("plain", 1), one), 0);
  const AdapterRef overlapping = harness_.Adapter("overlapping", 1, 8, {7, 7});
  EXPECT_EQ(ActiveFrom(*overlapping, std::vector<int32_t>{7, 7, 7, 1}), 1);
}

TEST_F(ActivatedTest, WithoutAnInvocationTheBaseAnswers) {
  const GenerateRequest plain = MakeRequest("plain", 40, 4, a_);
  ASSERT_TRUE(harness_.Submit(plain).ok());
  ASSERT_TRUE(harness_.Step());
  EXPECT_THAT(harness_.loads().under_way, IsEmpty());
  EXPECT_THAT(harness_.last_plan().segments, IsEmpty());
  harness_.RunToEnd();
  EXPECT_EQ(harness_.Hear("plain").tokens,
            FakeRunner::ExpectedTokens(plain.prompt, nullptr, 0, 0, 4));
  EXPECT_EQ(CachedOf(MakeRequest("base", 40, 4)), 32);  // its pages are the base's
  // Nor does it need pages for the adapter.
  SchedulerHarness small(Options(), 5);
  const AdapterRef large = small.Adapter("large", 5, 8, kInvocation);
  EXPECT_TRUE(small.Submit(MakeRequest("fits", 40, 4, large)).ok());
  EXPECT_FALSE(small.Submit(Invoked("does not", 40, large, {0})).ok());
}

TEST_F(ActivatedTest, PagesBeforeTheInvocationAreTheBases) {
  EXPECT_EQ(CachedOf(Invoked("base", 80, nullptr, {40})), 0);
  EXPECT_EQ(CachedOf(Invoked("first", 80, a_, {40})), 32);
  EXPECT_EQ(CachedOf(Invoked("again", 80, a_, {40})), 64);
  EXPECT_EQ(CachedOf(Invoked("other", 80, b_, {40})), 32);
  // And the other way round.
  EXPECT_EQ(CachedOf(Invoked("alone", 70, a_, {1, 50})), 0);
  EXPECT_EQ(CachedOf(Invoked("base after", 70, nullptr, {1, 50})), 48);
  // Another tenant shares nothing.
  GenerateRequest foreign = Invoked("foreign", 80, nullptr, {40});
  foreign.tenant = "other";
  EXPECT_EQ(CachedOf(foreign), 0);
}

TEST_F(ActivatedTest, AtAPagesBorderEverythingBeforeIsTheBases) {
  EXPECT_EQ(CachedOf(Invoked("base", 80, nullptr, {32})), 0);
  EXPECT_EQ(CachedOf(Invoked("at", 80, a_, {32})), 32);
  EXPECT_EQ(CachedOf(Invoked("base 2", 80, nullptr, {31})), 16);
  EXPECT_EQ(CachedOf(Invoked("before", 80, a_, {31})), 16);
  EXPECT_EQ(CachedOf(Invoked("base 3", 80, nullptr, {0})), 0);
  EXPECT_EQ(CachedOf(Invoked("zero", 80, a_, {0})), 0);
  EXPECT_EQ(CachedOf(Invoked("zero again", 80, a_, {0})), 64);
}

TEST_F(ActivatedTest, DeletionTakesTheAdaptersPagesAndLeavesTheBases) {
  EXPECT_EQ(CachedOf(Invoked("first", 80, a_, {40})), 0);
  harness_.scheduler().Forget(Residency::KeyOf(*a_));
  EXPECT_EQ(CachedOf(Invoked("again", 80, a_, {40})), 32);
  // While it runs: what the base computed is published, what the adapter computed is not.
  ASSERT_TRUE(harness_.Submit(Invoked("running", 70, a_, {1, 60}, 30)).ok());
  while (harness_.Hear("running").tokens.size() < 3) ASSERT_TRUE(harness_.Step());
  harness_.scheduler().Forget(Residency::KeyOf(*a_));
  harness_.RunToEnd();
  EXPECT_EQ(CachedOf(Invoked("after", 70, a_, {1, 60})), 48);
}

// As in PEFT, the last invocation of the whole prompt decides: what an earlier one activated is
// found again only while it stays the last.
TEST_F(ActivatedTest, AnotherTurnFindsTheAdaptersPagesOnlyWithTheSameActiveRange) {
  GenerateRequest turn = Invoked("turn 1", 40, a_, {20}, 30);
  EXPECT_EQ(CachedOf(turn), 0);
  std::vector<int32_t> conversation = turn.prompt;
  const std::vector<int32_t>& answer = harness_.Hear("turn 1").tokens;
  conversation.insert(conversation.end(), answer.begin(), answer.end());
  ASSERT_EQ(std::search(answer.begin(), answer.end(), kInvocation.begin(), kInvocation.end()),
            answer.end());
  turn.request_id = "turn 2";
  turn.prompt = conversation;
  turn.prompt.insert(turn.prompt.end(), {3, 4, 5});
  EXPECT_EQ(CachedOf(turn), 64);  // all full pages, the answer's too
  turn.request_id = "turn 2 invoked again";
  turn.prompt.insert(turn.prompt.end(), kInvocation.begin(), kInvocation.end());
  EXPECT_EQ(CachedOf(turn), 16);  // the base's alone: the first turn is the base's now
  turn.request_id = "turn 2 once more";
  EXPECT_EQ(CachedOf(turn), 64);
}

TEST_F(ActivatedTest, AChunkCrossesFromTheBaseToTheAdapter) {
  for (const char* id : {"warm a", "warm b"}) {
    CachedOf(Invoked(id, 4, std::string(id) == "warm a" ? a_ : b_, {0}, 1));
  }
  ASSERT_TRUE(harness_.Submit(Invoked("b", 30, b_, {10})).ok());
  ASSERT_TRUE(harness_.Submit(MakeRequest("base", 5, 4, nullptr, 50)).ok());
  ASSERT_TRUE(harness_.Submit(Invoked("a", 20, a_, {0})).ok());
  ASSERT_TRUE(harness_.Submit(Invoked("b2", 25, b_, {5})).ok());
  ASSERT_TRUE(harness_.Step());
  const StepPlan& plan = harness_.last_plan();
  ASSERT_EQ(plan.num_rows(), 80);
  std::vector<std::pair<int32_t, int32_t>> segments;
  for (const kernels::LoraSegment& s : plan.segments) segments.push_back({s.first_row, s.num_rows});
  // 10 + 5 + 5 rows of the base, then 20 of a, then 20 + 20 of b.
  EXPECT_THAT(segments, ElementsAre(std::pair(20, 20), std::pair(40, 40)));
  // base, a, b, b2: each with its rows in order of position.
  EXPECT_THAT(plan.sequence_rows_begin, ElementsAre(0, 5, 25, 55, 80));
  std::vector<int32_t> b_rows(30);
  std::iota(b_rows.begin(), b_rows.begin() + 10, 0);
  std::iota(b_rows.begin() + 10, b_rows.end(), 40);
  EXPECT_EQ(std::vector(plan.sequence_rows.begin() + 25, plan.sequence_rows.begin() + 55), b_rows);
  EXPECT_EQ(harness_.runner().num_crossings(), 2u);
  harness_.RunToEnd();
  EXPECT_EQ(harness_.Hear("b").tokens,
            FakeRunner::ExpectedTokens(Invoked("", 30, b_, {10}).prompt, b_.get(), 0, 0, 4));
}

TEST_F(ActivatedTest, ARunnerThatTakesFewerCrossingsGetsPromptsCutAtTheInvocation) {
  SchedulerHarness harness(Options(), 200, {.max_step_crossing_ranks = 24});
  const AdapterRef wide = harness.Adapter("wide", 2, 17, kInvocation);  // 24 in whole tiles
  ASSERT_TRUE(harness.Submit(Invoked("warm", 4, wide, {0}, 1)).ok());
  harness.RunToEnd();
  for (const char* id : {"one", "two"}) {
    GenerateRequest request = Invoked(id, 30, wide, {10});
    request.prompt[0] = id[0] % 50;
    ASSERT_TRUE(harness.Submit(request).ok());
  }
  ASSERT_TRUE(harness.Step());
  EXPECT_EQ(harness.last_plan().num_rows(), 30 + 10);
  ASSERT_TRUE(harness.Step());
  EXPECT_EQ(harness.last_plan().num_rows(), 1 + 20);
  harness.RunToEnd();
  EXPECT_TRUE(harness.Ended("one"));
  EXPECT_TRUE(harness.Ended("two"));
}

TEST_F(ActivatedTest, WhatTheBaseComputesRunsWhileTheAdapterLoads) {
  ASSERT_TRUE(harness_.Submit(Invoked("cold", 60, a_, {40})).ok());
  ASSERT_TRUE(harness_.Step());
  ASSERT_EQ(harness_.loads().under_way.size(), 1u);
  EXPECT_EQ(harness_.last_plan().num_rows(), 40);
  EXPECT_THAT(harness_.last_plan().segments, IsEmpty());
  EXPECT_FALSE(harness_.Step());
  // Nor do others wait for the load who wait for the base's pages, or bring a part of their own.
  ASSERT_TRUE(harness_.Submit(Invoked("base", 60, nullptr, {40})).ok());
  GenerateRequest also = Invoked("also", 60, a_, {50});
  also.prompt[0] = 77;
  ASSERT_TRUE(harness_.Submit(also).ok());
  ASSERT_TRUE(harness_.Step());
  EXPECT_EQ(harness_.Admission("base").cached_tokens, 32);
  EXPECT_EQ(harness_.last_plan().num_rows(), 28 + 50);
  EXPECT_THAT(harness_.last_plan().segments, IsEmpty());
  harness_.EndLoad();
  ASSERT_TRUE(harness_.Step());
  EXPECT_EQ(harness_.last_plan().num_rows(), 1 + 20 + 10);
  harness_.RunToEnd();
  EXPECT_EQ(harness_.Hear("also").tokens,
            FakeRunner::ExpectedTokens(also.prompt, a_.get(), 0, 0, 4));
}

TEST_F(ActivatedTest, AStepOfTheBasesRowsDoesNotWaitForLayersThatArrive) {
  ASSERT_TRUE(harness_.Submit(Invoked("cold", 60, a_, {40})).ok());
  ASSERT_TRUE(harness_.Step());
  harness_.ArriveLoad({.layers_there = 0, .at = harness_.now(), .layer_time = absl::Seconds(1)});
  GenerateRequest also = Invoked("also", 60, a_, {50});
  also.prompt[0] = 77;
  ASSERT_TRUE(harness_.Submit(also).ok());
  ASSERT_TRUE(harness_.Step());
  EXPECT_EQ(harness_.last_plan().num_rows(), 50);
  EXPECT_THAT(harness_.last_plan().arrivals, IsEmpty());
  harness_.RunToEnd();
  EXPECT_TRUE(harness_.Ended("also"));
}

TEST_F(ActivatedTest, AFailedLoadEndsItAlthoughItsBasePartRan) {
  ASSERT_TRUE(harness_.Submit(Invoked("cold", 60, a_, {40})).ok());
  ASSERT_TRUE(harness_.Step());
  harness_.EndLoad(absl::DataLossError("torn"));
  ASSERT_TRUE(harness_.Ended("cold"));
  EXPECT_EQ(harness_.Hear("cold").finished[0].reason, FinishReason::kError);
  EXPECT_EQ(harness_.Stats().pages_sequences, 0);
  EXPECT_EQ(CachedOf(Invoked("base", 60, nullptr, {40})), 32);  // which is right all the same
}

TEST_F(ActivatedTest, ChoicesForkWhereTheAdapterIsActive) {
  GenerateRequest request = Invoked("n", 45, a_, {20}, 20);
  request.num_choices = 3;
  ASSERT_TRUE(harness_.Submit(request).ok());
  harness_.RunToEnd();
  for (int32_t choice = 0; choice < 3; ++choice) {
    EXPECT_EQ(harness_.Hear("n", choice).tokens,
              FakeRunner::ExpectedTokens(request.prompt, a_.get(), 0, choice, 20));
  }
}

TEST_F(ActivatedTest, APreemptedOneBeginsWhereItBegan) {
  SchedulerHarness harness(Options(), 11);
  const AdapterRef adapter = harness.Adapter("a", 1, 8, kInvocation);
  GenerateRequest old = Invoked("old", 30, adapter, {17}, 60);
  GenerateRequest young = Invoked("young", 30, adapter, {5, 20}, 60);
  ASSERT_TRUE(harness.Submit(old).ok());
  ASSERT_TRUE(harness.Submit(young).ok());
  harness.RunToEnd();
  EXPECT_GT(harness.Stats().preemptions, 0u);
  for (const GenerateRequest& request : {old, young}) {
    EXPECT_EQ(harness.Hear(request.request_id).tokens,
              FakeRunner::ExpectedTokens(request.prompt, adapter.get(), 0, 0, 60));
  }
}

}  // namespace
}  // namespace chorus::engine
