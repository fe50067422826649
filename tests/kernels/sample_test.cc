#include "kernels/sampling/sample.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/sampling/logit_scans.h"
#include "kernels/sampling/philox.h"
#include "tests/support/reference/sample.h"
#include "tests/support/targets.h"
#include "tests/support/test_tensor.h"

namespace chorus::kernels {
namespace {

using test::TestTensor;

constexpr int32_t kVocabulary = 1003;
constexpr int32_t kPadded = 1024;

// Peaked like a model's logits: cubes of uniform values.
TestTensor MakeLogits(int64_t rows, uint64_t seed, float scale = 12.0f) {
  TestTensor logits(DType::kF32, rows, kPadded);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < kVocabulary; ++i) {
      const float v = test::CounterValue(seed, static_cast<uint64_t>(r * kPadded + i));
      logits.Set(r, i, scale * v * v * v);
    }
    for (int64_t i = kVocabulary; i < kPadded; ++i) logits.Set(r, i, 100.0f);  // never drawn
  }
  return logits;
}

std::vector<float> RowValues(const TestTensor& logits, int64_t row) {
  const float* const from = logits.view().Row<float>(row);
  return {from, from + kVocabulary};
}

std::vector<SampledToken> RunSample(const TestTensor& logits, const std::vector<SampleRow>& rows,
                                    int workers = 2) {
  std::vector<SampledToken> tokens(rows.size());
  ComputePool pool(workers);
  const absl::Status status = Sample(
      {.logits = logits.view(), .valid_vocabulary = kVocabulary, .rows = rows, .tokens = tokens},
      Stream::Cpu(&pool));
  EXPECT_TRUE(status.ok()) << status;
  return tokens;
}

TEST(PhiloxTest, MatchesThePublishedVectors) {
  // Known answers of the authors' Random123 distribution (kat_vectors, philox4x32 10).
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              testing::ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(
      Philox4x32({0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}, {0xffffffffu, 0xffffffffu}),
      testing::ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(
      Philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
      testing::ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

// The vectorised exp, through the weights: within 2 ulp on every target, tails included.
TEST(BlockWeightsTest, ExpIsWithinTwoUlpOnEveryTarget) {
  test::ForEachTarget([] {
    std::vector<float> x;
    for (uint64_t i = 0; i < 40003; ++i) x.push_back(-44.0f + 44.0f * test::CounterValue(1, i));
    std::vector<float> weights(x.size());
    std::vector<double> sums(x.size() / kScanBlock + 1);
    BlockWeights(x, 0.0f, 1.0f, weights, sums);
    double worst = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = std::exp(double{x[i]});
      const float rounded = static_cast<float>(want);
      const double ulp = std::nextafter(rounded, INFINITY) - double{rounded};
      if (rounded > 1.2e-38f) worst = std::max(worst, std::abs(weights[i] - want) / ulp);
    }
    EXPECT_LT(worst, 2.0);
    const std::vector<float> edges = {0.0f, -INFINITY, -104.5f, -103.0f};
    BlockWeights(edges, 0.0f, 1.0f, std::span(weights).first(4), sums);
    EXPECT_THAT(std::span(weights).first(4),
                testing::ElementsAre(1.0f, 0.0f, 0.0f, testing::Gt(0.0f)));
  });
}

TEST(BlockWeightsTest, HasTheSameBitsWhereverMultiplyAddsAreFused) {
  constexpr int64_t kWithout = HWY_SSSE3 | HWY_SSE4 | HWY_EMU128 | HWY_SCALAR;
  const std::vector<float> x = test::CounterValues(7, 1003, 20.0f);
  std::vector<std::vector<float>> all_weights;
  std::vector<std::vector<double>> all_sums;
  test::ForEachTarget([&] {
    if ((hwy::SupportedTargets() & kWithout) != 0) return;
    std::vector<float>& weights = all_weights.emplace_back(x.size());
    std::vector<double>& sums = all_sums.emplace_back(x.size() / kScanBlock + 1);
    BlockWeights(x, 20.0f, 0.7f, weights, sums);
    EXPECT_EQ(weights, all_weights.front());
    EXPECT_EQ(sums, all_sums.front());
  });
}

TEST(SampleTest, GreedyTakesTheSmallestIdAmongEquals) {
  TestTensor logits = MakeLogits(1, 1);
  for (const int64_t id : {70, 500, 1002}) logits.Set(0, id, 50.0f);
  const SamplingParams params{.temperature = 0.0f};
  EXPECT_EQ(RunSample(logits, {{.params = &params}})[0].token, 70);
}

TEST(SampleTest, PenaltiesAndBiasMoveTheGreedyChoice) {
  TestTensor logits = MakeLogits(1, 1);
  for (const auto& [id, value] :
       std::vector<std::pair<int64_t, float>>{{10, 20.0f}, {20, 19.0f}, {30, 18.0f}, {40, 17.0f}}) {
    logits.Set(0, id, value);
  }
  const std::vector<int32_t> prompt = {10, 10, 5};
  const std::vector<int32_t> output = {20, 20, 30};
  const auto greedy = [&](const SamplingParams& params) {
    return RunSample(logits, {{.params = &params, .prompt = prompt, .output = output}})[0].token;
  };
  EXPECT_EQ(greedy({.temperature = 0.0f}), 10);
  EXPECT_EQ(greedy({.temperature = 0.0f, .repetition_penalty = 1.5f}), 40);
  EXPECT_EQ(greedy({.temperature = 0.0f, .presence_penalty = 4.0f}), 10);
  EXPECT_EQ(greedy({.temperature = 0.0f, .logit_bias = {{10, -100.0f}}}), 20);
  // Id 20 came twice: presence leaves it 17.9 against 17, frequency 16.8.
  EXPECT_EQ(greedy({.temperature = 0.0f, .presence_penalty = 1.1f, .logit_bias = {{10, -9.0f}}}),
            20);
  EXPECT_EQ(greedy({.temperature = 0.0f, .frequency_penalty = 1.1f, .logit_bias = {{10, -9.0f}}}),
            40);
}

// Every token equals the oracle's inverse of the cumulated probabilities at the same draw.
TEST(SampleTest, DrawsEqualTheReference) {
  const std::vector<int32_t> prompt = {1, 2, 3, 500, 500};
  const std::vector<int32_t> output = {7, 7, 7, 8, 900};
  int compared = 0;
  for (int variant = 0; variant < 48; ++variant) {
    SamplingParams params;
    params.temperature = variant % 3 == 0 ? 1.0f : variant % 3 == 1 ? 0.6f : 3.0f;
    params.top_k = variant % 4 == 1 ? 1 : variant % 4 == 2 ? 40 : variant % 4 == 3 ? 500 : 0;
    params.top_p = variant % 5 == 1 ? 0.9f : variant % 5 == 2 ? 0.5f : variant % 5 == 3 ? 0.0f : 1;
    params.min_p = variant % 7 == 3 ? 0.05f : variant % 7 == 4 ? 0.9f : 0.0f;
    params.repetition_penalty = variant % 2 == 0 ? 1.3f : 1.0f;
    params.presence_penalty = variant % 11 == 0 ? 0.5f : 0.0f;
    params.frequency_penalty = variant % 13 == 0 ? 0.25f : 0.0f;
    if (variant % 6 == 0) params.logit_bias = {{17, 2.0f}, {18, -INFINITY}};
    params.seed = static_cast<uint64_t>(variant) << 40;
    const TestTensor logits = MakeLogits(1, static_cast<uint64_t>(variant % 8));
    std::vector<SampleRow> rows;
    for (int64_t position = 0; position < 60; ++position) {
      rows.push_back({.params = &params,
                      .prompt = prompt,
                      .output = output,
                      .choice = static_cast<int32_t>(position % 3),
                      .position = position});
    }
    const std::vector<SampledToken> tokens = RunSample(logits, rows);
    const std::vector<float> scores = test::ReferenceScores(rows[0], RowValues(logits, 0));
    double margin = 0.0;
    const std::vector<double> p = test::ReferenceProbabilities(params, scores, &margin);
    ASSERT_GT(margin, 1e-6) << "variant " << variant << " is decided by rounding; change it";
    for (size_t i = 0; i < rows.size(); ++i) {
      const double u = UniformDraw(params.seed, rows[i].choice, rows[i].position);
      double cumulated = 0.0;
      size_t id = 0;
      while (id < p.size() && cumulated + p[id] <= u) cumulated += p[id++];
      if (id == p.size()) continue;
      if (u - cumulated < 1e-6 || cumulated + p[id] - u < 1e-6) continue;
      ASSERT_EQ(tokens[i].token, static_cast<int32_t>(id)) << "variant " << variant;
      ++compared;
    }
  }
  EXPECT_GT(compared, 2500);
}

TEST(SampleTest, TopKKeepsWhatTiesWithTheKth) {
  TestTensor logits(DType::kF32, 1, kPadded);
  for (int64_t i = 0; i < kPadded; ++i) logits.Set(0, i, i % 100 == 3 ? 5.0f : -1.0f);
  const SamplingParams params{.top_k = 2, .seed = 3};
  std::vector<SampleRow> rows;
  for (int64_t p = 0; p < 400; ++p) rows.push_back({.params = &params, .position = p});
  std::set<int32_t> drawn;
  for (const SampledToken& token : RunSample(logits, rows)) drawn.insert(token.token);
  EXPECT_THAT(drawn, testing::ElementsAre(3, 103, 203, 303, 403, 503, 603, 703, 803, 903));
}

TEST(SampleTest, TopPKeepsTheSmallestIdsAmongEqualsInAFlatRow) {
  TestTensor logits(DType::kF32, 1, kPadded);
  for (int64_t i = 0; i < kPadded; ++i) logits.Set(0, i, 1.0f);
  const SamplingParams params{.top_p = 0.0993f, .seed = 3};  // 99.6 of 1003 equal tokens
  std::vector<SampleRow> rows;
  for (int64_t p = 0; p < 3000; ++p) rows.push_back({.params = &params, .position = p});
  std::set<int32_t> drawn;
  for (const SampledToken& token : RunSample(logits, rows)) drawn.insert(token.token);
  EXPECT_EQ(drawn.size(), 100u);
  EXPECT_EQ(*drawn.rbegin(), 99);
}

TEST(SampleTest, LogprobsAreOfTheRawLogits) {
  const TestTensor logits = MakeLogits(1, 5);
  const SamplingParams params{
      .temperature = 0.0f, .num_logprobs = 5, .logit_bias = {{77, 1000.0f}}};
  const SampledToken token = RunSample(logits, {{.params = &params}})[0];
  EXPECT_EQ(token.token, 77);
  const std::vector<double> want = test::ReferenceLogprobs(RowValues(logits, 0));
  EXPECT_NEAR(token.logprob, want[77], 2e-6);
  std::vector<int32_t> order(kVocabulary);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return want[size_t(a)] > want[size_t(b)]; });
  ASSERT_EQ(token.top.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(token.top[i].token, order[i]);
    EXPECT_NEAR(token.top[i].logprob, want[size_t(order[i])], 2e-6);
  }
}

TEST(SampleTest, BrokenRowsFailAlone) {
  TestTensor logits = MakeLogits(4, 6);
  logits.Set(1, 900, NAN);
  logits.Set(2, 1002, INFINITY);
  for (int64_t i = 0; i < kVocabulary; ++i) logits.Set(3, i, -INFINITY);
  const SamplingParams greedy{.temperature = 0.0f, .num_logprobs = 1};
  const SamplingParams drawn{.top_p = 0.9f};
  for (const SamplingParams* params : {&greedy, &drawn}) {
    std::vector<SampleRow> rows;
    for (int32_t r = 0; r < 4; ++r) rows.push_back({.logits_row = r, .params = params});
    const std::vector<SampledToken> tokens = RunSample(logits, rows);
    EXPECT_GE(tokens[0].token, 0);
    for (size_t r = 1; r < 4; ++r) EXPECT_EQ(tokens[r].token, -1) << r;
  }
  const SamplingParams all_banned{.logit_bias = {{0, NAN}}};
  EXPECT_EQ(RunSample(logits, {{.params = &all_banned}})[0].token, -1);
}

// A draw depends on (seed, choice, position) and the row's logits alone.
TEST(SampleTest, TokensDoNotDependOnNeighboursOrThreads) {
  const TestTensor logits = MakeLogits(40, 8);
  const SamplingParams params{.temperature = 2.0f, .top_p = 0.95f, .seed = 11};
  std::vector<SampleRow> rows;
  for (int32_t r = 0; r < 40; ++r) {
    rows.push_back({.logits_row = r, .params = &params, .position = r});
  }
  const std::vector<SampledToken> all = RunSample(logits, rows, 1);
  const std::vector<SampledToken> three = RunSample(logits, rows, 3);
  std::set<int32_t> distinct;
  for (size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(three[r].token, all[r].token);
    EXPECT_EQ(RunSample(logits, {rows[r]})[0].token, all[r].token);
    distinct.insert(all[r].token);
  }
  EXPECT_GT(distinct.size(), 20u);
}

TEST(SampleTest, RefusesWhatDoesNotFit) {
  const TestTensor logits = MakeLogits(1, 1);
  const SamplingParams bad{.temperature = -1.0f};
  std::vector<SampledToken> tokens(1);
  ComputePool pool(1);
  const std::vector<SampleRow> rows = {{.params = &bad}};
  EXPECT_FALSE(
      Sample({.logits = logits.view(), .valid_vocabulary = 10, .rows = rows, .tokens = tokens},
             Stream::Cpu(&pool))
          .ok());
  EXPECT_EQ(Sample({.logits = logits.view(),
                    .valid_vocabulary = kPadded + 1,
                    .rows = rows,
                    .tokens = tokens},
                   Stream::Cpu(&pool))
                .message(),
            "Sample: valid_vocabulary is 1025, want one in [1, 1025)");
}

}  // namespace
}  // namespace chorus::kernels
