// Admission by expected lengths: as many at once as will fit, however much they might ask for.
#include <string>

#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

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

struct Outcomes {
  Outcome optimistic, expected, conservative;
};

Outcomes ServeInAllModes(int pages, int max_tokens, bool ignore_eos) {
  const auto serve = [&](AdmissionMode mode) { return Serve(mode, pages, max_tokens, ignore_eos); };
  return {serve(AdmissionMode::kOptimistic), serve(AdmissionMode::kExpected),
          serve(AdmissionMode::kConservative)};
}

// The server learns that answers use all that they may, and then preempts hardly anybody.
TEST(ExpectedLengthsTest, AnswersThatUseAllTheyMay) {
  const auto [optimistic, expected, conservative] = ServeInAllModes(60, 100, /*ignore_eos=*/true);
  EXPECT_LT(expected.stats.recomputed_tokens, optimistic.stats.recomputed_tokens / 5);
  EXPECT_LT(expected.seconds, 1.03 * optimistic.seconds);
  EXPECT_LT(expected.seconds, 1.03 * conservative.seconds);
}

// And where they use a part, it lets in about as many as fit, not as if each used all.
TEST(ExpectedLengthsTest, AnswersThatUseAPartOfWhatTheyMay) {
  const auto [optimistic, expected, conservative] = ServeInAllModes(80, 1000, /*ignore_eos=*/false);
  EXPECT_LT(expected.stats.recomputed_tokens, optimistic.stats.recomputed_tokens / 2);
  EXPECT_LT(expected.seconds, optimistic.seconds);
  EXPECT_LT(expected.seconds, 0.5 * conservative.seconds);
}

class SharedPromptTest : public ::testing::Test {
 protected:
  static EngineOptions Cached() {
    EngineOptions options = Options(AdmissionMode::kExpected);
    options.prefix_cache = true;
    return options;
  }
  // Answers to this limit use all of it.
  static void Teach(int max_tokens, SchedulerHarness* harness) {
    for (int i = 0; i < 40; ++i) {
      const std::string id = std::to_string(max_tokens) + "-" + std::to_string(i);
      ASSERT_TRUE(harness->Submit(MakeRequest(id, 3, max_tokens, nullptr, i)).ok());
    }
    while (harness->Step()) {
    }
  }
};

// What sequences share is in the pool once, and counts once.
TEST_F(SharedPromptTest, CountsOnce) {
  SchedulerHarness harness(Cached(), 60);
  Teach(16, &harness);
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

// And it is not free when one of those who share it leaves.
TEST_F(SharedPromptTest, StaysWhenOneOfThemLeaves) {
  SchedulerHarness harness(Cached(), 100);
  Teach(16, &harness);
  Teach(320, &harness);
  const uint64_t before = harness.Stats().preemptions;
  ASSERT_TRUE(harness.Submit(MakeRequest("first", 480, 16)).ok());
  for (int i = 0; i < 3; ++i) harness.Step();
  ASSERT_TRUE(harness.Submit(MakeRequest("second", 482, 320)).ok());
  harness.Step();
  // 30 pages are shared, and each of these comes to 21 of its own, as the second one does.
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_TRUE(harness.Submit(MakeRequest(id, 5, 320, nullptr, id[0] % 90)).ok());
  }
  harness.Step();
  EXPECT_TRUE(harness.Admitted("second") && harness.Admitted("a") && harness.Admitted("b"));
  EXPECT_FALSE(harness.Admitted("c"));
  while (harness.Step()) {
  }
  EXPECT_TRUE(harness.Ended("c"));
  EXPECT_EQ(harness.Stats().preemptions, before);
}

}  // namespace
}  // namespace chorus::engine
