#include "kernels/sampling/sample_plan.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::kernels {
namespace {

constexpr int32_t kVocabulary = 100;

std::vector<std::pair<int32_t, int32_t>> PenaltiesOf(const SamplePlan& plan, size_t row) {
  std::vector<std::pair<int32_t, int32_t>> penalties;
  for (int32_t i = 0; i < plan.rows[row].num_penalties; ++i) {
    const auto at = static_cast<size_t>(plan.rows[row].first_penalty + i);
    penalties.emplace_back(plan.penalties[at].id, plan.penalties[at].output_count);
  }
  return penalties;
}

TEST(SamplePlanTest, IdsOfARowAreDistinctAndValid) {
  const std::vector<int32_t> prompt = {5, 6, 5, -1, kVocabulary};
  const std::vector<int32_t> output = {6, 9, 9, 9, 1 << 30};
  const SamplingParams none{.logit_bias = {{kVocabulary, 1.0f}, {3, -2.0f}, {-7, 1.0f}}};
  const SamplingParams presence{.presence_penalty = 0.5f};
  const SamplingParams repetition{.repetition_penalty = 1.5f, .logit_bias = {{4, 8.0f}}};
  std::vector<SampleRow> rows;
  for (const SamplingParams* params : {&repetition, &none, &presence, &repetition}) {
    rows.push_back({.params = params, .prompt = prompt, .output = output});
  }
  SamplePlan plan;
  // Again with the same plan: nothing of the first time is left.
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(PlanSample(rows, 1, kVocabulary, plan).ok());
    ASSERT_EQ(plan.rows.size(), 4u);
    using testing::Pair;
    for (const size_t row : {size_t{0}, size_t{3}}) {
      EXPECT_THAT(PenaltiesOf(plan, row), testing::ElementsAre(Pair(5, 0), Pair(6, 1), Pair(9, 3)));
    }
    EXPECT_THAT(PenaltiesOf(plan, 1), testing::IsEmpty());
    EXPECT_THAT(PenaltiesOf(plan, 2), testing::ElementsAre(Pair(6, 1), Pair(9, 3)));
    ASSERT_EQ(plan.rows[1].num_biases, 1);
    EXPECT_EQ(plan.biases[static_cast<size_t>(plan.rows[1].first_bias)].id, 3);
    EXPECT_EQ(plan.biases[static_cast<size_t>(plan.rows[3].first_bias)].bias, 8.0f);
    EXPECT_EQ(plan.biases.size(), 3u);
  }
}

TEST(SamplePlanTest, RefusesWhatDoesNotFit) {
  const auto message = [](const SamplingParams& params, int32_t logits_row) {
    SamplePlan plan;
    const std::vector<SampleRow> rows = {{.logits_row = logits_row, .params = &params}};
    return std::string(PlanSample(rows, 3, kVocabulary, plan).message());
  };
  EXPECT_EQ(message({}, 2), "");
  EXPECT_EQ(message({}, 3), "Sample: logits_row is 3, want one in [0, 3)");
  EXPECT_EQ(message({.num_logprobs = kMaxTopLogprobs}, 0), "");
  EXPECT_EQ(message({.num_logprobs = 21}, 0), "Sample: num_logprobs is 21, want one in [-1, 21)");
  EXPECT_EQ(message({.top_p = NAN}, 0), "Sample: a row has a negative or NaN parameter");
}

}  // namespace
}  // namespace chorus::kernels
