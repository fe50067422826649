#include "server/cli/percentiles.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace chorus::cli {

Percentiles PercentilesOf(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double percent) {
    const double place = static_cast<double>(samples.size() - 1) * percent / 100;
    const auto below = static_cast<size_t>(std::floor(place));
    const size_t above = std::min(below + 1, samples.size() - 1);
    return samples[below] + (samples[above] - samples[below]) * (place - std::floor(place));
  };
  return {at(50), at(90), at(95), at(99)};
}

}  // namespace chorus::cli
