// Soak: random requests without end on small pools, with all that can happen to them: cancels,
// deadlines, pins, deletions, failed loads, choices, priorities, penalties, biases, shared
// prefixes. The runner is tests/support's FakeRunner, so every token is checked against what its
// request gets alone, and the pages are counted after every step.
#ifndef CHORUS_BENCH_SIMULATE_SOAK_H_
#define CHORUS_BENCH_SIMULATE_SOAK_H_

#include <cstdint>

#include "nlohmann/json.hpp"

namespace chorus::bench {

struct SoakOptions {
  int64_t requests = 1'000'000;
  int64_t phase_requests = 20'000;  // after which scheduler, options and pool are new ones
  uint64_t seed = 1;
};

// CHECKs what must hold, naming the phase's seed; returns how often each thing happened.
nlohmann::json RunSoak(const SoakOptions& options);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_SOAK_H_
