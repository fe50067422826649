// Selection without sorting the vocabulary: the largest few, and the nucleus.
#ifndef CHORUS_KERNELS_SAMPLING_SELECT_H_
#define CHORUS_KERNELS_SAMPLING_SELECT_H_

#include <cstdint>
#include <span>
#include <vector>

namespace chorus::kernels {

struct Candidate {
  float value = 0.0f;
  int32_t id = 0;
};

// Descending value, then ascending id: the one order in which candidates are ranked.
inline bool RanksBefore(const Candidate& a, const Candidate& b) {
  return a.value != b.value ? a.value > b.value : a.id < b.id;
}

// Replaces `found` by all values at least as large as the k-th largest, ids ascending; more than k
// when values tie with it. `maxima` are BlockMaxima of `values`; `scratch` is overwritten.
// REQUIRES: 1 <= k <= values.size(), no NaN.
void SelectLargest(std::span<const float> values, std::span<const float> maxima, int64_t k,
                   std::vector<float>& scratch, std::vector<Candidate>& found);

// The nucleus (Holtzman et al., 2020) as transformers' TopPLogitsWarper cuts it: from the smallest
// up, a weight goes as long as the sum of what has gone, itself included, is at most (1 − top_p) of
// the total; the first in rank always stays. Sets the weights that go to 0. `total` is the sum of
// `weights`; `scratch` is overwritten.
void CutNucleus(std::span<float> weights, double total, float top_p,
                std::vector<Candidate>& scratch);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_SELECT_H_
