// Admission by expected lengths: as many at once as will fit, however much they might ask for.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

constexpr AdmissionMode kModes[] = {AdmissionMode::kOptimistic, AdmissionMode::kExpected,
                                    AdmissionMode::kConservative};

EngineOptions Options(AdmissionMode mode) {
  EngineOptions options;
  options.admission = mode;
  options.max_running = 32;
  options.max_step_tokens = 512;
  options.prefix_cache = false;
  options.admission_watermark = 0.0;
  options.pin_budget = 0.0;
  return options;
}

struct Outcome {
  double seconds = 0.0;
  EngineStats stats;
};

// 10 ms for the weights, and 1 ms a row.
absl::Duration StepTime(const StepPlan& plan) { return absl::Milliseconds(10 + plan.num_rows()); }

// Of requests that all wait from the start.
Outcome Serve(AdmissionMode mode, int pages, int max_tokens, bool ignore_eos) {
  SchedulerHarness harness(Options(mode), pages);
  constexpr int kRequests = 600;
  for (int i = 0; i < kRequests; ++i) {
    GenerateRequest request =
        MakeRequest("r" + std::to_string(i), 16 + i % 30, max_tokens, nullptr, i);
    request.sampling.seed = static_cast<uint64_t>(i);
    request.ignore_eos = ignore_eos;
    EXPECT_TRUE(harness.Submit(request).ok());
  }
  Outcome outcome;
  const absl::Time begin = harness.now();
  while (harness.Step(StepTime)) {
  }
  outcome.seconds = absl::ToDoubleSeconds(harness.now() - begin);
  for (int i = 0; i < kRequests; ++i) EXPECT_TRUE(harness.Ended("r" + std::to_string(i)));
  outcome.stats = harness.Stats();
  return outcome;
}

// The server learns that answers use all that they may, and then preempts nobody any more.
TEST(ExpectedLengthsTest, AnswersThatUseAllTheyMay) {
  std::map<AdmissionMode, Outcome> by;
  for (AdmissionMode mode : kModes) by[mode] = Serve(mode, 60, 100, /*ignore_eos=*/true);
  const Outcome& optimistic = by[AdmissionMode::kOptimistic];
  const Outcome& expected = by[AdmissionMode::kExpected];
  EXPECT_LT(expected.stats.recomputed_tokens, optimistic.stats.recomputed_tokens / 5);
  EXPECT_LT(expected.seconds, 1.03 * optimistic.seconds);
  EXPECT_LT(expected.seconds, 1.03 * by[AdmissionMode::kConservative].seconds);
}

// And where they use a part, it lets in about as many as fit, not as if each used all.
TEST(ExpectedLengthsTest, AnswersThatUseAPartOfWhatTheyMay) {
  std::map<AdmissionMode, Outcome> by;
  for (AdmissionMode mode : kModes) by[mode] = Serve(mode, 80, 1000, /*ignore_eos=*/false);
  const Outcome& optimistic = by[AdmissionMode::kOptimistic];
  const Outcome& expected = by[AdmissionMode::kExpected];
  EXPECT_LT(expected.stats.recomputed_tokens, optimistic.stats.recomputed_tokens / 2);
  EXPECT_LT(expected.seconds, optimistic.seconds);
  EXPECT_LT(expected.seconds, 0.5 * by[AdmissionMode::kConservative].seconds);
}

// What sequences share is in the pool once, and counts once.
TEST(ExpectedLengthsTest, SharedPromptsCountOnce) {
  EngineOptions options = Options(AdmissionMode::kExpected);
  options.prefix_cache = true;
  SchedulerHarness harness(options, 60);
  for (int i = 0; i < 40; ++i) {  // all of 16 tokens
    ASSERT_TRUE(harness.Submit(MakeRequest("short" + std::to_string(i), 3, 16, nullptr, i)).ok());
  }
  while (harness.Step()) {
  }
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 480, 16)).ok());
  for (int i = 0; i < 4; ++i) harness.Step();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(harness.Submit(MakeRequest("r" + std::to_string(i), 482, 16)).ok());
  }
  harness.Step();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(harness.Admitted("r" + std::to_string(i))) << i;
  while (harness.Step()) {
  }
  EXPECT_EQ(harness.Stats().preemptions, 0u);
}

}  // namespace
}  // namespace chorus::engine
