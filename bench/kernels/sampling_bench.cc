// Sample over 16 rows of a vocabulary: greedy, plain temperature, top-k, top-p, log-probabilities.
#include "bench/kernels/kernel_rig.h"
#include "kernels/sampling/sample.h"

namespace chorus::bench {
namespace {

using kernels::SampledToken;
using kernels::SampleRow;
using kernels::SamplingParams;

constexpr int kRows = 16;

void BM_Sample(benchmark::State& state) {
  const SamplingParams variants[] = {{.temperature = 0.0f},
                                     {.temperature = 0.8f},
                                     {.temperature = 0.8f, .top_k = 50},
                                     {.temperature = 0.8f, .top_p = 0.95f},
                                     {.temperature = 0.0f, .num_logprobs = 5}};
  Buffer<float> logits(kRows, kVocabulary);
  for (float& logit : logits.data) logit = 15.0f * logit * logit * logit;
  std::vector<SampleRow> rows;
  for (int32_t r = 0; r < kRows; ++r) {
    rows.push_back({.logits_row = r, .params = &variants[state.range(0)], .position = r});
  }
  std::vector<SampledToken> tokens(kRows);
  Measure(state, {.bytes = static_cast<double>(kRows * kVocabulary * 4)}, [&] {
    Must(Sample(
        {.logits = logits.view, .valid_vocabulary = kVocabulary, .rows = rows, .tokens = tokens},
        TheMachine().stream));
  });
}
BENCHMARK(BM_Sample)
    ->ArgName("greedy0_plain1_topk2_topp3_logprobs4")
    ->DenseRange(0, 4)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace chorus::bench
