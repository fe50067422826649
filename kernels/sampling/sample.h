// Sample: from logits to one token per row, equal to Hugging Face's processors in this order:
// penalties → bias → temperature → top-k → top-p → min-p. Draws are counter-based, a function of
// (seed, choice, position) alone, so a recomputed request goes on as it began.
#ifndef CHORUS_KERNELS_SAMPLING_SAMPLE_H_
#define CHORUS_KERNELS_SAMPLING_SAMPLE_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

struct SamplingParams {
  float temperature = 1.0f;         // 0: greedy, the smallest id among equals
  int32_t top_k = 0;                // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float repetition_penalty = 1.0f;  // over prompt and output, once per distinct id
  float presence_penalty = 0.0f;    // over output
  float frequency_penalty = 0.0f;   // over output
  uint64_t seed = 0;
  int32_t num_logprobs = -1;  // -1: none; 0: the chosen token's; n: and the n best
  std::vector<std::pair<int32_t, float>> logit_bias;  // distinct ids
};

struct SampleRow {
  int32_t logits_row = 0;  // several choices may draw from one row
  const SamplingParams* params = nullptr;
  std::span<const int32_t> prompt;  // for the penalties
  std::span<const int32_t> output;
  int32_t choice = 0;
  int64_t position = 0;  // of the token to be drawn
};

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0.0f;  // of the raw logits (log-softmax before any processor)
};

struct SampledToken {
  int32_t token = 0;
  float logprob = 0.0f;           // filled when num_logprobs >= 0
  std::vector<TokenLogprob> top;  // num_logprobs best, ties by smaller id
};

struct SampleArgs {
  TensorView logits;             // [logit rows, vocabulary] f32, left as it was
  int32_t valid_vocabulary = 0;  // ids at or above it are never drawn nor reported
  std::span<const SampleRow> rows;
  std::span<SampledToken> tokens;  // [rows.size()], overwritten
};

// A row whose valid logits, before or after penalties and bias, hold a NaN, +infinity or no finite
// value gets token -1; the caller fails that request alone. Top-k keeps all that tie with the k-th,
// as transformers does; top-p ranks equals by smaller id. The draw is the inverse of the cumulated
// weights over ascending ids at a Philox number of (seed, choice, position), see philox.h.
// InvalidArgument when shapes do not fit or a parameter is negative or NaN.
absl::Status Sample(const SampleArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_SAMPLE_H_
