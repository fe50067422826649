#include "kernels/sampling/select.h"

#include <algorithm>
#include <functional>

#include "kernels/sampling/logit_scans.h"

namespace chorus::kernels {
namespace {

// Few enough to sort.
constexpr int64_t kSmall = 64;

// Appends the values of a block that are at least `least`.
void GatherBlock(std::span<const float> values, size_t block, float least,
                 std::vector<Candidate>& found) {
  const size_t begin = block * size_t{kScanBlock};
  const size_t end = std::min(values.size(), begin + size_t{kScanBlock});
  for (size_t i = begin; i < end; ++i) {
    if (values[i] >= least) found.push_back({values[i], static_cast<int32_t>(i)});
  }
}

}  // namespace

void SelectLargest(std::span<const float> values, std::span<const float> maxima, int64_t k,
                   std::vector<float>& scratch, std::vector<Candidate>& found) {
  found.clear();
  // At least k values reach the k-th largest block maximum, so nothing below it can be among the k
  // largest, and few blocks are looked into.
  float least = *std::min_element(maxima.begin(), maxima.end());
  if (k <= static_cast<int64_t>(maxima.size())) {
    scratch.assign(maxima.begin(), maxima.end());
    std::nth_element(scratch.begin(), scratch.begin() + (k - 1), scratch.end(), std::greater<>());
    least = scratch[static_cast<size_t>(k - 1)];
    for (size_t block = 0; block < maxima.size(); ++block) {
      if (maxima[block] >= least) GatherBlock(values, block, least, found);
    }
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      found.push_back({values[i], static_cast<int32_t>(i)});
    }
  }
  scratch.clear();
  for (const Candidate& candidate : found) scratch.push_back(candidate.value);
  std::nth_element(scratch.begin(), scratch.begin() + (k - 1), scratch.end(), std::greater<>());
  const float kth = scratch[static_cast<size_t>(k - 1)];
  std::erase_if(found, [kth](const Candidate& candidate) { return candidate.value < kth; });
}

void CutNucleus(std::span<float> weights, double total, float top_p,
                std::vector<Candidate>& scratch) {
  const double limit = (1.0 - static_cast<double>(top_p)) * total;
  // What lies below the limit's mean share goes for certain: all of it together is below the limit.
  const double certain = limit / static_cast<double>(weights.size());
  double gone = 0.0;
  scratch.clear();
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] < certain) {
      gone += weights[i];
      weights[i] = 0.0f;
    } else {
      scratch.push_back({weights[i], static_cast<int32_t>(i)});
    }
  }
  // Ascending in rank from the worst: what lies left of `low` goes, what lies right of `high`
  // stays.
  const auto worse = [](const Candidate& a, const Candidate& b) { return RanksBefore(b, a); };
  auto low = scratch.begin();
  auto high = scratch.end();
  while (high - low > kSmall) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, worse);
    double left = 0.0;
    for (auto it = low; it != middle; ++it) left += it->value;
    if (gone + left <= limit) {
      gone += left;
      low = middle;
    } else {
      high = middle;
    }
  }
  std::sort(low, high, worse);
  while (low != high && gone + low->value <= limit) {
    gone += low->value;
    ++low;
  }
  if (low == scratch.end()) {
    // Rounding, or top_p = 0: only the first in rank stays.
    low = std::min_element(scratch.begin(), scratch.end(), RanksBefore);
    std::iter_swap(low, scratch.end() - 1);
    low = scratch.end() - 1;
  }
  for (auto it = scratch.begin(); it != low; ++it) weights[static_cast<size_t>(it->id)] = 0.0f;
}

}  // namespace chorus::kernels
