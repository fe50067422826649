#include "bench/simulate/soak.h"

#include <algorithm>
#include <chrono>
#include <iostream>

#include "bench/simulate/soak_phase.h"

namespace chorus::bench {

nlohmann::json RunSoak(const SoakOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  SoakCounts counts;
  uint64_t phase = 0;
  for (int64_t left = options.requests; left > 0; left -= options.phase_requests, ++phase) {
    const uint64_t seed = options.seed + phase;
    std::cerr << "phase " << phase + 1 << ", seed " << seed << std::endl;
    SoakPhase(std::min(left, options.phase_requests), seed, &counts).Run();
  }
  return {
      {"seed", options.seed},
      {"phases", phase},
      {"counts", counts},
      {"wall_s", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()}};
}

}  // namespace chorus::bench
