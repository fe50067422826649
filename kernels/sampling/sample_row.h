// One row of Sample, and the memory it works in.
#ifndef CHORUS_KERNELS_SAMPLING_SAMPLE_ROW_H_
#define CHORUS_KERNELS_SAMPLING_SAMPLE_ROW_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kernels/device/arg_check.h"
#include "kernels/sampling/sample.h"
#include "kernels/sampling/select.h"

namespace chorus::kernels {

// One per thread; grows to the vocabulary on first use and is then only written over.
struct SampleScratch {
  std::vector<float> scores;  // logits after penalties and bias
  std::vector<float> weights;
  std::vector<float> maxima;  // per block of scores
  std::vector<double> sums;   // per block of weights
  std::vector<float> values;
  std::vector<Candidate> candidates;
  std::vector<Candidate> nucleus;
  std::vector<int32_t> counts;  // per id, all zero between rows
};

// InvalidArgument when `params` is null or has a parameter that is negative or NaN.
absl::Status CheckSampling(const ArgCheck& check, const SamplingParams* params);

// `logits` are those of the valid ids.
void SampleOne(const SampleRow& row, std::span<const float> logits, SampleScratch& scratch,
               SampledToken& token);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_SAMPLE_ROW_H_
