// What a runner takes less of than the engine's options allow: the scheduler keeps to it (the
// FakeRunner checks every plan), and nobody waits for ever.
#include "engine/refusal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

EngineOptions Options() {
  EngineOptions options;
  options.max_running = 8;
  options.max_step_tokens = 64;
  options.pin_budget = 0.0;
  options.admission_watermark = 0.0;
  options.prefix_cache = false;
  return options;
}

GenerateRequest Penalised(const std::string& id, int prompt, int max_tokens) {
  GenerateRequest request = MakeRequest(id, prompt, max_tokens);
  request.sampling.repetition_penalty = 1.2f;
  return request;
}

// "REASON object: expected …", or what there is instead.
std::string Refused(const absl::Status& status) {
  const std::optional<Refusal> refusal = RefusalOf(status);
  if (!refusal.has_value()) return status.ToString();
  return std::string(ReasonName(refusal->reason)) + " " + std::string(status.message());
}

TEST(RunnerLimitsTest, WhatIsBeyondThemAloneIsRefusedByName) {
  SchedulerHarness harness(Options(), 64,
                           {.max_step_pages = 6,
                            .max_step_penalties = 40,
                            .max_step_biases = 10,
                            .max_adapter_pages = 3,
                            .max_adapter_rank = 16});
  EXPECT_EQ(Refused(harness.Submit(MakeRequest("a", 5, 5, harness.Adapter("wide", 1, 17)))),
            "ADAPTER_RANK adapter \"wide\": rank: expected at most 16, which this server's device "
            "takes, got 17");
  EXPECT_EQ(Refused(harness.Submit(MakeRequest("b", 5, 5, harness.Adapter("large", 4)))),
            "ADAPTER_TOO_LARGE adapter \"large\": pages: expected at most 3, which this server's "
            "device takes, got 4");
  EXPECT_EQ(Refused(harness.scheduler().Pin(harness.Adapter("wide", 1, 17), true)),
            "ADAPTER_RANK adapter \"wide\": rank: expected at most 16, which this server's device "
            "takes, got 17");
  EXPECT_EQ(
      Refused(harness.Submit(MakeRequest("c", 90, 7))),
      "POOL_TOO_SMALL request: expected at most 6 pages of one choice, which a step can read, "
      "got 7");
  GenerateRequest choices = Penalised("d", 15, 5);
  choices.num_choices = 3;
  EXPECT_EQ(Refused(harness.Submit(choices)),
            "VALUE_OUT_OF_RANGE n: expected at most 2 with a repetition penalty over 15 prompt "
            "tokens, got 3");
  EXPECT_EQ(Refused(harness.Submit(Penalised("e", 15, 26))),
            "MAX_TOKENS_TOO_LARGE max_tokens: expected at most 25 with these penalties, got 26");
  GenerateRequest biased = MakeRequest("f", 5, 5);
  biased.num_choices = 4;
  for (int32_t id = 1; id <= 3; ++id) biased.sampling.logit_bias.emplace_back(id, 1.0f);
  EXPECT_EQ(Refused(harness.Submit(biased)),
            "VALUE_OUT_OF_RANGE logit_bias: expected at most 2 entries with 4 choices, got 3");
  EXPECT_EQ(harness.Submit(MakeRequest("g", 89, 7, harness.Adapter("fits", 3, 16))),
            absl::OkStatus());
  EXPECT_EQ(harness.Submit(Penalised("h", 15, 25)), absl::OkStatus());
  harness.RunToEnd();
  EXPECT_TRUE(harness.Ended("g") && harness.Ended("h"));
}

TEST(RunnerLimitsTest, DrawsThatDoNotFitIntoOneStepTakeTurnsOldestFirst) {
  SchedulerHarness harness(Options(), 64, {.max_step_penalties = 50});
  ASSERT_TRUE(harness.Submit(Penalised("old", 30, 10)).ok());
  ASSERT_TRUE(harness.Submit(Penalised("young", 30, 10)).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("free", 4, 30)).ok());
  while (!harness.Ended("old")) {
    ASSERT_TRUE(harness.Step());
    EXPECT_TRUE(harness.Hear("young").tokens.empty());
  }
  EXPECT_GE(harness.Hear("free").tokens.size(), 9u);  // who has no penalties goes on meanwhile
  harness.RunToEnd();
  EXPECT_EQ(harness.Hear("young").tokens.size(), 10u);
}

TEST(RunnerLimitsTest, SmallOnesDoNotKeepALargeOneOut) {
  SchedulerHarness harness(Options(), 256, {.max_step_penalties = 60});
  int small = 0;
  const auto add_small = [&] {
    ASSERT_TRUE(harness.Submit(Penalised("small" + std::to_string(small++), 10, 10)).ok());
  };
  for (int i = 0; i < 3; ++i) add_small();
  ASSERT_TRUE(harness.Step());
  ASSERT_TRUE(harness.Submit(Penalised("large", 50, 8)).ok());
  for (int turn = 0; turn < 100 && !harness.Ended("large"); ++turn) {
    add_small();
    ASSERT_TRUE(harness.Step());
  }
  EXPECT_TRUE(harness.Ended("large"));
  EXPECT_LT(small, 40);
  harness.RunToEnd();
}

TEST(RunnerLimitsTest, PagesOfAStepAreSharedOut) {
  EngineOptions options = Options();
  options.prefix_cache = true;
  SchedulerHarness harness(options, 64, {.max_step_pages = 7});
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(harness.Submit(MakeRequest("r" + std::to_string(i), 40, 12)).ok());
  }
  size_t most = 0;
  while (harness.Step()) most = std::max(most, harness.last_plan().page_ids.size());
  EXPECT_GE(most, 6u);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(harness.Ended("r" + std::to_string(i)));
}

TEST(RunnerLimitsTest, AnAdapterMoreMeansAnIdleOneLess) {
  SchedulerHarness harness(Options(), 64, {.max_adapters = 2});
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE(harness.Submit(MakeRequest(name, 4, 2, harness.Adapter(name, 1))).ok());
  }
  harness.RunToEnd();
  EXPECT_EQ(harness.Stats().adapter_evictions, 0u);
  // Both are held: the third waits for one of them.
  ASSERT_TRUE(harness.Submit(MakeRequest("a2", 4, 12, harness.Adapter("a", 1))).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("b2", 4, 6, harness.Adapter("b", 1))).ok());
  ASSERT_TRUE(harness.Submit(MakeRequest("c", 4, 2, harness.Adapter("c", 1))).ok());
  while (!harness.Ended("b2")) {
    ASSERT_TRUE(harness.Step());
    EXPECT_TRUE(harness.loads().under_way.empty() || harness.Ended("b2"));
  }
  harness.RunToEnd();
  EXPECT_TRUE(harness.Ended("c"));
  EXPECT_EQ(harness.Stats().adapter_evictions, 1u);
  EXPECT_EQ(harness.Stats().pages_adapters, 2);
}

}  // namespace
}  // namespace chorus::engine
