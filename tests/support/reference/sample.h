// Oracle of Sample: transformers' processors, with a full sort, in double precision.
#ifndef CHORUS_TESTS_SUPPORT_REFERENCE_SAMPLE_H_
#define CHORUS_TESTS_SUPPORT_REFERENCE_SAMPLE_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "kernels/sampling/sample.h"

namespace chorus::test {

// Scores after penalties and bias, in f32 where transformers and vLLM compute in f32.
inline std::vector<float> ReferenceScores(const kernels::SampleRow& row,
                                          std::vector<float> scores) {
  const kernels::SamplingParams& params = *row.params;
  std::set<int32_t> seen(row.prompt.begin(), row.prompt.end());
  seen.insert(row.output.begin(), row.output.end());
  for (const int32_t id : seen) {
    float& score = scores[static_cast<size_t>(id)];
    score = score < 0 ? score * params.repetition_penalty : score / params.repetition_penalty;
  }
  std::map<int32_t, int> counts;
  for (const int32_t id : row.output) ++counts[id];
  for (const auto& [id, count] : counts) {
    scores[static_cast<size_t>(id)] -=
        params.frequency_penalty * static_cast<float>(count) + params.presence_penalty;
  }
  for (const auto& [id, bias] : params.logit_bias) scores[static_cast<size_t>(id)] += bias;
  return scores;
}

// The probabilities after temperature, top-k, top-p and min-p. `margin` becomes the smallest
// relative distance of a comparison with a threshold of top-p or min-p: near 0, rounding decides.
inline std::vector<double> ReferenceProbabilities(const kernels::SamplingParams& params,
                                                  const std::vector<float>& scores,
                                                  double* margin) {
  const size_t n = scores.size();
  std::vector<size_t> order(n);  // ascending: transformers sorts so
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return scores[a] != scores[b] ? scores[a] < scores[b] : a > b;
  });
  std::vector<bool> removed(n, false);
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < n) {
    const float kth = scores[order[n - static_cast<size_t>(params.top_k)]];
    for (size_t i = 0; i < n; ++i) removed[i] = scores[i] < kth;
  }
  const double max = scores[order.back()];
  const auto softmax = [&] {
    std::vector<double> p(n, 0.0);
    double total = 0.0;
    for (size_t i = 0; i < n; ++i) {
      if (!removed[i]) p[i] = std::exp((double{scores[i]} - max) / double{params.temperature});
      total += p[i];
    }
    for (double& value : p) value /= total;
    return p;
  };
  *margin = std::numeric_limits<double>::infinity();
  if (params.top_p < 1.0f) {
    const std::vector<double> p = softmax();
    double cumulated = 0.0;
    for (size_t rank = 0; rank + 1 < n; ++rank) {  // at least one token is kept
      if (removed[order[rank]]) continue;
      cumulated += p[order[rank]];
      const double limit = 1.0 - double{params.top_p};
      *margin = std::min(*margin, std::abs(cumulated - limit));
      if (cumulated <= limit) removed[order[rank]] = true;
    }
  }
  if (params.min_p > 0.0f) {
    const std::vector<double> p = softmax();
    for (size_t i = 0; i < n; ++i) {
      const double ratio = p[i] / p[order.back()];
      if (i != order.back()) *margin = std::min(*margin, std::abs(ratio - double{params.min_p}));
      if (ratio < double{params.min_p} && i != order.back()) removed[i] = true;
    }
  }
  return softmax();
}

// log-softmax of raw logits.
inline std::vector<double> ReferenceLogprobs(const std::vector<float>& logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double total = 0.0;
  for (const float logit : logits) total += std::exp(double{logit} - max);
  std::vector<double> logprobs;
  for (const float logit : logits) logprobs.push_back(double{logit} - max - std::log(total));
  return logprobs;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_REFERENCE_SAMPLE_H_
