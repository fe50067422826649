// Sample on the SIMT executor or a GPU: the CPU op's tokens and log-probabilities, to the bit.
#include <deque>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/ops/sample_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Peaked like a model's logits: cubes of uniform values.
std::vector<float> Peaked(uint64_t seed, int32_t vocabulary, float scale = 12.0f) {
  std::vector<float> logits = CounterValues(seed, vocabulary);
  for (float& value : logits) value = scale * value * value * value;
  return logits;
}

// Few distinct values, both zeros among them.
std::vector<float> Tied(uint64_t seed, int32_t vocabulary) {
  std::vector<float> logits;
  for (int32_t i = 0; i < vocabulary; ++i) {
    const float values[] = {-0.0f, 0.0f, 1.0f, -3.5f, 0.5f};
    logits.push_back(values[CounterHash(seed, static_cast<uint64_t>(i)) % 5]);
  }
  return logits;
}

const std::vector<int32_t> kPrompt = {1, 2, 3, 50, 50, 7};
const std::vector<int32_t> kOutput = {7, 7, 7, 8, 60, -1, 1'000'000};

// A batch that owns the parameters of its rows.
class Batch {
 public:
  Batch(int32_t vocabulary, std::vector<std::vector<float>> logits)
      : case_{.vocabulary = vocabulary, .logits = std::move(logits)} {}

  Batch& Add(const SamplingParams& params, int32_t logits_row = 0, int64_t position = 5) {
    params_.push_back(params);
    case_.rows.push_back({.logits_row = logits_row,
                          .params = &params_.back(),
                          .prompt = kPrompt,
                          .output = kOutput,
                          .choice = static_cast<int32_t>(position % 3),
                          .position = position});
    return *this;
  }
  const SampleCase& case_of() const { return case_; }

 private:
  std::deque<SamplingParams> params_;
  SampleCase case_;
};

// One of many mixtures of the parameters.
SamplingParams Mixed(uint64_t variant) {
  const auto pick = [&](uint64_t salt, std::initializer_list<float> values) {
    return values.begin()[CounterHash(variant, salt) % values.size()];
  };
  SamplingParams params{.temperature = pick(1, {1.0f, 0.6f, 3.0f, 0.01f, 1.3f}),
                        .top_k = static_cast<int32_t>(pick(2, {0, 1, 2, 40, 500, 5000, 0})),
                        .top_p = pick(3, {1.0f, 0.9f, 0.5f, 0.0f, 0.999f, 0.95f, 1.0f}),
                        .min_p = pick(4, {0.0f, 0.05f, 0.9f, 0.0f, 2.0f, 0.0f}),
                        .repetition_penalty = pick(5, {1.0f, 1.3f, 1.0f, 0.7f}),
                        .presence_penalty = pick(6, {0.0f, 0.5f, 0.0f}),
                        .frequency_penalty = pick(7, {0.0f, 0.25f, 0.0f}),
                        .seed = CounterHash(variant, 8),
                        .num_logprobs = static_cast<int32_t>(pick(9, {-1, 0, 1, 20, -1, -1}))};
  if (CounterHash(variant, 10) % 3 == 0) {
    params.logit_bias = {{17, 2.0f}, {18, -kInfinity}, {2'000'000, 1.0f}, {7, -0.5f}};
  }
  return params;
}

class SampleOpTest : public OpTest {};

TEST_F(SampleOpTest, GreedyTokensAndTheBestFew) {
  for (const int32_t vocabulary : {1, 2, 63, 64, 65, 1003, 8200}) {
    Batch batch(vocabulary, {Peaked(1, vocabulary), Tied(2, vocabulary)});
    for (const int32_t row : {0, 1}) {
      for (const int32_t num_logprobs : {-1, 0, 1, 7, 20}) {
        batch.Add({.temperature = 0.0f, .num_logprobs = num_logprobs}, row);
      }
    }
    EXPECT_EQ(RunSample(batch.case_of(), {}), "") << vocabulary;
    EXPECT_EQ(RunSample(batch.case_of(), {.order = Order::kReverse}), "") << vocabulary;
  }
}

TEST_F(SampleOpTest, RowsWithoutAUsableValue) {
  std::vector<std::vector<float>> logits(7, Peaked(3, 300));
  logits[0][299] = std::numeric_limits<float>::quiet_NaN();
  logits[1][0] = kInfinity;
  logits[2].assign(300, -kInfinity);
  logits[3].assign(300, -kInfinity);
  logits[3][222] = -3e38f;
  logits[4][17] = 3e38f;
  logits[5].assign(300, 3e38f);
  logits[6][5] = -kInfinity;
  Batch batch(300, std::move(logits));
  for (int32_t row = 0; row < 7; ++row) {
    batch.Add({.temperature = 0.0f, .num_logprobs = 3}, row);
    batch.Add({.temperature = 0.8f, .top_k = 3, .num_logprobs = 3}, row);
    batch.Add({.temperature = 0.8f, .top_p = 0.7f, .logit_bias = {{17, 2e38f}}}, row);
    batch.Add({.temperature = 0.8f, .min_p = 0.1f, .logit_bias = {{222, -kInfinity}}}, row);
    batch.Add({.repetition_penalty = 1e-9f}, row);
  }
  EXPECT_EQ(RunSample(batch.case_of(), {}), "");
  const std::vector<SampledToken> tokens = SampleOnCpu(batch.case_of());
  EXPECT_EQ(std::count_if(tokens.begin(), tokens.end(),
                          [](const SampledToken& token) { return token.token == -1; }),
            19);
}

TEST_F(SampleOpTest, EveryMixtureDrawsTheCpuToken) {
  for (uint64_t variant = 0; variant < 80; ++variant) {
    const int32_t vocabulary = static_cast<int32_t>(variant % 4 == 0 ? 1003 : 100 + 37 * variant);
    Batch batch(vocabulary, {Peaked(variant, vocabulary, variant % 3 == 0 ? 3.0f : 20.0f),
                             Tied(variant, vocabulary)});
    const SamplingParams params = Mixed(variant);
    for (int64_t position = 0; position < 5; ++position) {
      batch.Add(params, position == 4 ? 1 : 0, position);
    }
    const std::vector<SimtOptions> orders = EveryOrder(static_cast<uint32_t>(variant));
    const SimtOptions& options = orders[variant % orders.size()];
    EXPECT_EQ(RunSample(batch.case_of(), options), "")
        << "variant " << variant << ", " << Name(options);
  }
}

TEST_F(SampleOpTest, FlatRowsKeepTheSmallestIds) {
  Batch batch(1003, {std::vector<float>(1003, 1.0f)});
  for (int64_t position = 0; position < 12; ++position) {
    batch.Add({.top_p = 0.0993f, .seed = 3}, 0, position);
    batch.Add({.top_k = 5, .top_p = 0.5f, .seed = 4, .num_logprobs = 20}, 0, position);
    batch.Add({.top_p = 0.0f, .min_p = 1.0f}, 0, position);
  }
  EXPECT_EQ(RunSample(batch.case_of(), {}), "");
}

TEST_F(SampleOpTest, WeightsDownToTheSubnormal) {
  std::vector<float> logits = CounterValues(4, 3000, 52.0f);
  Batch batch(3000, {std::move(logits)});
  for (const float top_p : {1.0f, 0.9999999f, 0.99f, 1e-6f}) {
    batch.Add({.top_p = top_p, .seed = 9, .num_logprobs = 5});
    batch.Add({.temperature = 5.0f, .top_p = top_p, .min_p = 1e-30f, .seed = 9});
  }
  EXPECT_EQ(RunSample(batch.case_of(), {}), "");
}

TEST_F(SampleOpTest, EverySiteIsMissed) {
  // More scan blocks than warps, so that rounds follow one another; the last has 20 values.
  constexpr int32_t kVocabulary = 2068;
  std::vector<std::vector<float>> logits = {Peaked(5, kVocabulary), Tied(6, kVocabulary),
                                            std::vector<float>(kVocabulary, 0.0f)};
  logits[2][7] = 10.0f;
  logits[2][50] = 10.0f;
  logits[2][1500] = 25.0f;
  Batch batch(kVocabulary, std::move(logits));
  batch.Add({.temperature = 0.0f, .num_logprobs = 3});
  batch.Add({.top_k = 900, .top_p = 0.8f, .repetition_penalty = 1.3f, .logit_bias = {{7, 4.0f}}});
  batch.Add({.top_p = 0.4f, .min_p = 0.02f, .num_logprobs = 20}, 1);
  batch.Add({.logit_bias = {{kVocabulary - 1, 40.0f}}});
  // Id 50 gets 10 / 2 + 30 if each step follows the one before, and id 7 is kept down.
  batch.Add({.temperature = 0.0f, .repetition_penalty = 2.0f, .logit_bias = {{50, 30.0f}}}, 2);
  batch.Add({.temperature = 0.0f, .presence_penalty = 30.0f, .logit_bias = {{1500, -20.0f}}}, 2);
  const std::vector<SampledToken> want = SampleOnCpu(batch.case_of());
  ExpectEverySiteIsMissed(
      [&](const SimtOptions& options) { return SampleRun(batch.case_of()).Run(want, options); },
      28);
}

}  // namespace
}  // namespace chorus::test
