// Scenarios: one run of the simulator as JSON, each field but "machine" and "trace" optional.
//
//   {"machine": "a10g-llama-7b", "pool_pages": 906,
//    "trace": "FILE.jsonl",
//    "adapters": {"ranks": [64, 32, 16, 8], "modules": "qkvo"},     or "all"
//    "engine": {"max_running": 64, "admission": "conservative", …}, the fields of EngineOptions
//    "replicas": 4, "router": "affine", "load_bound": 1.25,
//    "seed": 1, "first_token_limit_s": 6.0, "max_tokens": 512}
#ifndef CHORUS_BENCH_SIMULATE_SCENARIO_H_
#define CHORUS_BENCH_SIMULATE_SCENARIO_H_

#include <string>

#include "absl/status/statusor.h"
#include "bench/simulate/fleet.h"
#include "nlohmann/json.hpp"

namespace chorus::bench {

struct Scenario {
  FleetOptions fleet;
  std::string trace;  // a file's path
};

// InvalidArgument naming the field, what was expected and what came.
absl::StatusOr<Scenario> ParseScenario(const nlohmann::json& text);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_SCENARIO_H_
