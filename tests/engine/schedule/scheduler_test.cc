#include "engine/schedule/scheduler.h"

#include "engine/refusal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

EngineOptions Options() {
  EngineOptions options;
  options.max_running = 8;
  options.max_step_tokens = 64;
  options.max_prefill_chunk = 32;
  options.admission_watermark = 0.0;
  options.pin_budget = 0.0;
  return options;
}

TEST(SchedulerTest, ARequestRunsToItsLength) {
  SchedulerHarness harness(Options(), 32);
  ASSERT_TRUE(harness.Submit(MakeRequest("a", 40, 5)).ok());
  harness.RunToEnd();
  EXPECT_THAT(harness.Hear("a").tokens, SizeIs(5));
  ASSERT_TRUE(harness.Ended("a"));
  EXPECT_EQ(harness.Hear("a").finished[0].reason, FinishReason::kLength);
}

TEST(SchedulerTest, PrefillIsChunkedAndDecodesRideAlong) {
  SchedulerHarness harness(Options(), 64);
  ASSERT_TRUE(harness.Submit(MakeRequest("short", 3, 20)).ok());
  ASSERT_TRUE(harness.Step());
  ASSERT_TRUE(harness.Submit(MakeRequest("long", 100, 5, nullptr, 50)).ok());
  ASSERT_TRUE(harness.Step());
  EXPECT_EQ(harness.last_plan().num_rows(), 1 + 32);
  EXPECT_THAT(harness.Hear("short").tokens, SizeIs(2));
}

TEST(SchedulerTest, RowsAreGroupedBySlotWithBaseFirst) {
  SchedulerHarness harness(Options(), 64);
  const AdapterRef a = harness.Adapter("a", 1), b = harness.Adapter("b", 1);
  ASSERT_TRUE(harness.Submit(MakeRequest("a1", 2, 9, a, 1)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("base", 2, 9, nullptr, 2)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("b1", 2, 9, b, 3)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("a2", 2, 9, a, 4)).ok());
  harness.Step();  // base alone; the adapters load
  harness.EndLoad();
  harness.EndLoad();
  ASSERT_TRUE(harness.Step());
  const StepPlan& plan = harness.last_plan();
  ASSERT_THAT(plan.segments, SizeIs(2));
  EXPECT_EQ(plan.segments[0].first_row, 1);  // one base row, decoding
  EXPECT_EQ(plan.segments[0].num_rows, 4);   // two prompts of adapter a
  EXPECT_EQ(plan.segments[1].first_row, 5);
  EXPECT_EQ(plan.segments[1].num_rows, 2);
}

// Two of rank 16 and 8 with the base beside them.
void RunMixed(SchedulerHarness* harness) {
  const AdapterRef a = harness->Adapter("a", 1, 16), b = harness->Adapter("b", 1, 8);
  ASSERT_TRUE(harness->Submit(MakeRequest("a1", 20, 3, a, 1)).ok());
  ASSERT_TRUE(harness->Submit(MakeRequest("a2", 1, 3, a, 2)).ok());
  ASSERT_TRUE(harness->Submit(MakeRequest("b1", 1, 3, b, 3)).ok());
  harness->Step();  // nothing: the adapters load
  harness->EndLoad();
  harness->EndLoad();
  ASSERT_TRUE(harness->Submit(MakeRequest("base", 1, 3, nullptr, 4)).ok());
  harness->RunToEnd();
}

TEST(SchedulerTest, WhatStepsHaveToReadIsCounted) {
  SchedulerHarness harness(Options(), 64);
  RunMixed(&harness);
  const EngineStats stats = harness.Stats();
  ASSERT_EQ(stats.steps, 3u);
  EXPECT_EQ(stats.step_rows, 23u + 2 * 4);
  EXPECT_EQ(stats.step_pages, 3u * (2 + 1 + 1 + 1));  // a1 has two of them
  EXPECT_EQ(stats.step_adapters, 3u * 2);
  EXPECT_EQ(stats.step_ranks, 3u * (16 + 8));
}

TEST(SchedulerTest, WithoutLoraComputeAdaptersAreLoadedAndCountedButTouchNoRow) {
  EngineOptions options = Options();
  options.lora_compute = false;
  SchedulerHarness harness(options, 64);
  RunMixed(&harness);
  EXPECT_EQ(harness.Stats().adapter_loads, 2u);
  EXPECT_EQ(harness.Stats().step_ranks, 3u * (16 + 8));
  EXPECT_THAT(harness.last_plan().segments, SizeIs(0));
  SchedulerHarness base(Options(), 64);
  ASSERT_TRUE(base.Submit(MakeRequest("a1", 20, 3, nullptr, 1)).ok());
  base.RunToEnd();
  EXPECT_EQ(harness.Hear("a1").tokens, base.Hear("a1").tokens);
}

TEST(SchedulerTest, OthersGoOnWhileAnAdapterLoads) {
  SchedulerHarness harness(Options(), 64);
  ASSERT_TRUE(harness.Submit(MakeRequest("cold", 4, 3, harness.Adapter("x", 2))).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("base", 4, 3)).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(harness.Step());
  EXPECT_TRUE(harness.Ended("base"));
  EXPECT_FALSE(harness.Ended("cold"));
  EXPECT_FALSE(harness.Step());
  harness.EndLoad();
  harness.RunToEnd();
  EXPECT_TRUE(harness.Ended("cold"));
}

TEST(SchedulerTest, AFailedLoadEndsItsRequestsAndNobodyElses) {
  SchedulerHarness harness(Options(), 64);
  const AdapterRef bad = harness.Adapter("bad", 2);
  ASSERT_TRUE(harness.Submit(MakeRequest("one", 4, 3, bad)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("two", 4, 3, bad, 9)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("base", 4, 3)).ok());
  ASSERT_TRUE(harness.Step());
  harness.EndLoad(absl::DataLossError("torn"));
  harness.RunToEnd();
  for (const char* id : {"one", "two"}) {
    ASSERT_THAT(harness.Hear(id).finished, SizeIs(1));
    EXPECT_EQ(harness.Hear(id).finished[0].status.code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_THAT(harness.Hear("base").tokens, SizeIs(3));
  EXPECT_EQ(harness.Stats().pages_adapters, 0);
}

TEST(SchedulerTest, OperatorsSeeEachAdaptersStateRankAndUsers) {
  SchedulerHarness harness(Options(), 64);
  const AdapterRef adapter = harness.Adapter("x", 2, 16);
  ASSERT_TRUE(harness.Submit(MakeRequest("one", 4, 3, adapter)).ok());
  harness.Step();
  ASSERT_THAT(harness.scheduler().AdapterSnapshot(), SizeIs(1));
  const AdapterResidency loading = harness.scheduler().AdapterSnapshot()[0];
  EXPECT_EQ(loading.name, "x");
  EXPECT_EQ(loading.state, ResidencyState::kLoading);
  EXPECT_EQ(loading.pages, 2);
  EXPECT_EQ(loading.max_rank, 16);
  EXPECT_EQ(loading.waiting, 0);
  EXPECT_EQ(loading.running, 1);  // admitted, which is what the load is for
  harness.EndLoad();
  harness.Step();
  const AdapterResidency resident = harness.scheduler().AdapterSnapshot()[0];
  EXPECT_EQ(resident.state, ResidencyState::kResident);
  EXPECT_EQ(resident.max_rank, 16);
  EXPECT_EQ(resident.waiting, 0);
  EXPECT_EQ(resident.running, 1);
  EXPECT_FALSE(resident.pinned);
}

TEST(SchedulerTest, ACancelledLoadKeepsItsPagesUntilItAnswers) {
  SchedulerHarness harness(Options(), 16);
  ASSERT_TRUE(harness.Submit(MakeRequest("cold", 4, 3, harness.Adapter("x", 5))).ok());
  harness.Step();
  ASSERT_THAT(harness.loads().under_way, SizeIs(1));
  harness.scheduler().Cancel("cold", -1, FinishReason::kCancelled);
  EXPECT_THAT(harness.loads().cancelled, SizeIs(1));
  EXPECT_EQ(harness.Stats().pages_free, 16 - 5);
  harness.EndLoad();
  EXPECT_EQ(harness.Stats().pages_free, 16);
}

TEST(SchedulerTest, ASecondRequestFindsTheFirstOnesPrefix) {
  SchedulerHarness harness(Options(), 64);
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 40, 2)).ok());
  harness.RunToEnd();
  ASSERT_TRUE(harness.Submit(MakeRequest("second", 40, 2)).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Admission("second").cached_tokens, 32);
  EXPECT_EQ(harness.Hear("second").tokens, harness.Hear("first").tokens);
}

TEST(SchedulerTest, AHitAlwaysLeavesATokenToCompute) {
  SchedulerHarness harness(Options(), 64);
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 32, 2)).ok());
  harness.RunToEnd();
  ASSERT_TRUE(harness.Submit(MakeRequest("second", 32, 2)).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Admission("second").cached_tokens, 16);
}

TEST(SchedulerTest, ARequestJoinsAPrefixThatIsBeingComputed) {
  SchedulerHarness harness(Options(), 64);
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 100, 2)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("second", 100, 2)).ok());
  harness.RunToEnd();
  EXPECT_GE(harness.Admission("second").cached_tokens, 96);
  EXPECT_EQ(harness.Stats().prompt_tokens, 100u + 4u);
}

TEST(SchedulerTest, SaltAdapterAndTenantSeparatePrefixes) {
  SchedulerHarness harness(Options(), 128);
  ASSERT_TRUE(harness.Submit(MakeRequest("plain", 40, 2)).ok());
  harness.RunToEnd();
  GenerateRequest salted = MakeRequest("salted", 40, 2);
  salted.cache_salt = "mine";
  GenerateRequest foreign = MakeRequest("foreign", 40, 2);
  foreign.tenant = "other";
  ASSERT_TRUE(harness.Submit(salted).ok());
  ASSERT_TRUE(harness.Submit(foreign).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("adapted", 40, 2, harness.Adapter("x", 2))).ok());
  harness.RunToEnd();
  for (const char* id : {"salted", "foreign", "adapted"}) {
    EXPECT_EQ(harness.Admission(id).cached_tokens, 0) << id;
  }
}

TEST(SchedulerTest, ForgettingAnAdapterForgetsItsPrefixesAndPages) {
  SchedulerHarness harness(Options(), 64);
  const AdapterRef adapter = harness.Adapter("x", 3);
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 40, 2, adapter)).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Stats().pages_adapters, 3);
  harness.scheduler().Forget(Residency::KeyOf(*adapter));
  EXPECT_EQ(harness.Stats().pages_free, 64);
  ASSERT_TRUE(harness.Submit(MakeRequest("second", 40, 2, adapter)).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Admission("second").cached_tokens, 0);
}

TEST(SchedulerTest, AForgottenAdapterServesItsRunningRequestsAndThenGoes) {
  SchedulerHarness harness(Options(), 64);
  const AdapterRef adapter = harness.Adapter("x", 3);
  ASSERT_TRUE(harness.Submit(MakeRequest("run", 40, 30, adapter)).ok());
  harness.Step();
  harness.EndLoad();
  ASSERT_TRUE(harness.Step());
  adapter->Retire();
  harness.scheduler().Forget(Residency::KeyOf(*adapter));
  // By its version's number it can be asked for until then.
  ASSERT_TRUE(harness.Submit(MakeRequest("too", 40, 2, adapter)).ok());
  harness.RunToEnd();
  EXPECT_THAT(harness.Hear("run").tokens, SizeIs(30));
  EXPECT_THAT(harness.Hear("too").tokens, SizeIs(2));
  EXPECT_EQ(harness.Stats().pages_free, 64);
}

TEST(SchedulerTest, ARequestThatComesAfterItsAdapterWasForgottenLeavesNothingOfItBehind) {
  SchedulerHarness harness(Options(), 64);
  const AdapterRef adapter = harness.Adapter("x", 3);
  adapter->Retire();
  harness.scheduler().Forget(Residency::KeyOf(*adapter));
  ASSERT_TRUE(harness.Submit(MakeRequest("late", 40, 2, adapter)).ok());
  harness.RunToEnd();
  EXPECT_THAT(harness.Hear("late").tokens, SizeIs(2));
  EXPECT_EQ(harness.Stats().pages_free, 64);
  const AdapterRef again = harness.Adapter("x", 3);  // the same content, uploaded again
  ASSERT_TRUE(harness.Submit(MakeRequest("next", 40, 2, again)).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Admission("next").cached_tokens, 0);
  EXPECT_EQ(harness.Stats().pages_adapters, 3);
}

TEST(SchedulerTest, ChoicesShareThePromptAndDiffer) {
  SchedulerHarness harness(Options(), 64);
  GenerateRequest request = MakeRequest("n", 40, 6);
  request.num_choices = 4;
  ASSERT_TRUE(harness.Submit(request).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Stats().prompt_tokens, 40u);
  for (int c = 0; c < 4; ++c) {
    EXPECT_THAT(harness.Hear("n", c).tokens, SizeIs(6)) << c;
    EXPECT_EQ(harness.Hear("n", c).tokens,
              FakeRunner::ExpectedTokens(request.prompt, nullptr, request.sampling.seed, c, 6));
  }
  EXPECT_NE(harness.Hear("n", 0).tokens, harness.Hear("n", 1).tokens);
}

TEST(SchedulerTest, TheYoungestIsPreemptedAndGoesOnAsItBegan) {
  SchedulerHarness harness(Options(), 8);
  ASSERT_TRUE(harness.Submit(MakeRequest("old", 30, 60, nullptr, 1)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("young", 30, 60, nullptr, 40)).ok());
  harness.RunToEnd();
  const EngineStats stats = harness.Stats();
  EXPECT_GE(stats.preemptions, 1u);
  EXPECT_GT(stats.recomputed_tokens, 0u);
  EXPECT_EQ(stats.step_rows, 2u * (30 + 59) + stats.recomputed_tokens);
  const GenerateRequest young = MakeRequest("young", 30, 60, nullptr, 40);
  EXPECT_EQ(harness.Hear("young").tokens,
            FakeRunner::ExpectedTokens(young.prompt, nullptr, young.sampling.seed, 0, 60));
  EXPECT_THAT(harness.Hear("old").tokens, SizeIs(60));
}

TEST(SchedulerTest, TheConservativeModeNeverPreempts) {
  EngineOptions options = Options();
  options.admission = AdmissionMode::kConservative;
  SchedulerHarness harness(options, 8);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(harness.Submit(MakeRequest("r" + std::to_string(i), 30, 60, nullptr, 11 * i)).ok());
  }
  harness.RunToEnd();
  EXPECT_EQ(harness.Stats().preemptions, 0u);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(harness.Ended("r" + std::to_string(i)));
}

TEST(SchedulerTest, ABlockedHeadIsOvertakenABoundedNumberOfTimes) {
  EngineOptions options = Options();
  options.max_overtakes = 3;
  SchedulerHarness harness(options, 10);
  ASSERT_TRUE(harness.Submit(MakeRequest("running", 60, 90)).ok());
  ASSERT_TRUE(harness.Step());
  ASSERT_TRUE(harness.Submit(MakeRequest("big", 100, 20, nullptr, 7)).ok());
  int passed = 0;
  for (int i = 0; i < 200 && !harness.Admitted("big"); ++i) {
    const std::string id = "small" + std::to_string(i);
    ASSERT_TRUE(harness.Submit(MakeRequest(id, 3, 2, nullptr, i)).ok());
    harness.Step();
    passed += harness.Admitted(id) ? 1 : 0;
  }
  EXPECT_TRUE(harness.Admitted("big"));
  EXPECT_LE(passed, 3 + 1);  // the last may come in with or behind the big one
}

TEST(SchedulerTest, PriorityThenDeadlineThenArrivalDecideTheOrder) {
  EngineOptions options = Options();
  options.max_running = 1;
  SchedulerHarness harness(options, 32);
  GenerateRequest soon = MakeRequest("soon", 4, 2);
  soon.deadline = harness.now() + absl::Minutes(1);
  GenerateRequest urgent = MakeRequest("urgent", 4, 2);
  urgent.priority = 1;
  ASSERT_TRUE(harness.Submit(MakeRequest("plain", 4, 2)).ok());
  ASSERT_TRUE(harness.Submit(soon).ok());
  ASSERT_TRUE(harness.Submit(urgent).ok());
  std::vector<std::string> order;
  while (harness.Step()) {
    for (const char* id : {"plain", "soon", "urgent"}) {
      if (harness.Ended(id) && std::find(order.begin(), order.end(), id) == order.end()) {
        order.push_back(id);
      }
    }
  }
  EXPECT_THAT(order, testing::ElementsAre("urgent", "soon", "plain"));
}

TEST(SchedulerTest, ADeadlineEndsWaitingAndRunningRequests) {
  EngineOptions options = Options();
  options.max_running = 1;
  SchedulerHarness harness(options, 32);
  GenerateRequest running = MakeRequest("running", 4, 100);
  running.deadline = harness.now() + absl::Milliseconds(5);
  GenerateRequest waiting = MakeRequest("waiting", 4, 100);
  waiting.deadline = harness.now() + absl::Milliseconds(3);
  ASSERT_TRUE(harness.Submit(running).ok());
  ASSERT_TRUE(harness.Submit(waiting).ok());
  harness.RunToEnd();
  harness.Listen();
  EXPECT_EQ(harness.Hear("running").finished.at(0).reason, FinishReason::kDeadline);
  EXPECT_EQ(harness.Hear("waiting").finished.at(0).reason, FinishReason::kDeadline);
  EXPECT_TRUE(harness.scheduler().idle());
}

TEST(SchedulerTest, CancellingOneChoiceLeavesTheOthers) {
  SchedulerHarness harness(Options(), 64);
  GenerateRequest request = MakeRequest("n", 20, 10);
  request.num_choices = 3;
  ASSERT_TRUE(harness.Submit(request).ok());
  ASSERT_TRUE(harness.Step());
  ASSERT_TRUE(harness.Step());
  harness.scheduler().Cancel("n", 1, FinishReason::kCancelled);
  harness.RunToEnd();
  EXPECT_EQ(harness.Hear("n", 1).finished.at(0).reason, FinishReason::kCancelled);
  EXPECT_THAT(harness.Hear("n", 0).tokens, SizeIs(10));
  EXPECT_THAT(harness.Hear("n", 2).tokens, SizeIs(10));
}

TEST(SchedulerTest, ASlowReaderIsCutAndHoldsNothing) {
  EngineOptions options = Options();
  options.stream_capacity = 4;
  options.prefix_cache = false;
  SchedulerHarness harness(options, 64);
  GenerateRequest request = MakeRequest("slow", 20, 50);
  request.num_choices = 2;
  std::unique_ptr<Request> made = harness.scheduler().intake().MakeRequest(request);
  const std::shared_ptr<TokenStream> stream = made->stream;  // which nobody drains
  harness.scheduler().Submit(std::move(made), harness.now());
  harness.RunToEnd();
  EXPECT_TRUE(harness.scheduler().idle());
  EXPECT_EQ(harness.Stats().pages_free, 64);
  EXPECT_EQ(stream->Drain().back().reason, FinishReason::kSlowReader);
}

TEST(SchedulerTest, RefusesWhatCouldNeverFit) {
  SchedulerHarness harness(Options(), 8);
  const absl::Status pool = harness.Submit(MakeRequest("big", 100, 60));
  EXPECT_EQ(pool.code(), absl::StatusCode::kResourceExhausted);
  const std::optional<Refusal> refusal = RefusalOf(pool);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kPoolTooSmall);
  EXPECT_THAT(refusal->expected, HasSubstr("at most 8 pages"));
  EXPECT_EQ(refusal->got, "10");
  const auto reason = [&](const std::string& id, int prompt, int max_tokens) {
    const std::optional<Refusal> refused =
        RefusalOf(harness.Submit(MakeRequest(id, prompt, max_tokens)));
    return refused.has_value() ? refused->reason : Reason::kUnspecified;
  };
  EXPECT_EQ(reason("x", 100, 50000), Reason::kMaxTokensTooLarge);
  EXPECT_EQ(reason("w", 50000, 1), Reason::kPromptTooLong);
  EXPECT_EQ(reason("y", 0, 5), Reason::kPromptEmpty);
  EXPECT_EQ(reason("z", 5, 0), Reason::kValueOutOfRange);
}

TEST(SchedulerTest, AnIdIsFreeBeforeItsStreamSaysThatItEnded) {
  SchedulerHarness harness(Options(), 32);
  std::vector<std::string> ended;
  harness.scheduler().OnEnded([&](const std::string& id) {
    harness.Listen();
    EXPECT_FALSE(harness.Ended(id));
    ended.push_back(id);
  });
  ASSERT_TRUE(harness.Submit(MakeRequest("one", 4, 3)).ok());
  GenerateRequest two = MakeRequest("two", 4, 6);
  two.num_choices = 2;
  ASSERT_TRUE(harness.Submit(std::move(two)).ok());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(harness.Step());
  EXPECT_THAT(ended, testing::ElementsAre("one"));
  harness.scheduler().Cancel("two", 1, FinishReason::kStop);
  EXPECT_THAT(ended, SizeIs(1));  // its other choice goes on
  harness.RunToEnd();
  EXPECT_THAT(ended, testing::ElementsAre("one", "two"));
  EXPECT_TRUE(harness.Ended("two"));
}

TEST(SchedulerTest, PinnedAdaptersStayWhenPagesAreShort) {
  EngineOptions options = Options();
  options.pin_budget = 0.5;
  SchedulerHarness harness(options, 12);
  const AdapterRef pinned = harness.Adapter("pinned", 4);
  ASSERT_TRUE(harness.scheduler().Pin(pinned, true).ok());
  EXPECT_EQ(harness.scheduler().Pin(harness.Adapter("more", 3), true).code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(harness.Submit(MakeRequest("base", 4, 2)).ok());
  harness.RunToEnd();
  EXPECT_EQ(harness.Stats().pages_adapters, 4);
  ASSERT_TRUE(harness.Submit(MakeRequest("other", 4, 2, harness.Adapter("other", 3))).ok());
  harness.RunToEnd();
  ASSERT_TRUE(harness.Submit(MakeRequest("large", 80, 10)).ok());
  harness.RunToEnd();
  EXPECT_TRUE(harness.Ended("large"));
  EXPECT_EQ(harness.Stats().pages_adapters, 4);  // the idle one went, the pinned one stayed
}

}  // namespace
}  // namespace chorus::engine
