// chorus_simulate: the scheduler in virtual time.
//
//   chorus_simulate < SCENARIO               runs a scenario (scenario.h) and prints its figures
//   chorus_simulate soak REQUESTS SEED       soak.h; stderr names each phase's seed as it begins
#include <iostream>

#include "absl/strings/numbers.h"
#include "bench/simulate/scenario.h"
#include "bench/simulate/soak.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

using nlohmann::json;

absl::StatusOr<json> RunScenario(std::istream* input) {
  CHORUS_ASSIGN_OR_RETURN(const Scenario scenario,
                          ParseScenario(json::parse(*input, nullptr, false)));
  CHORUS_ASSIGN_OR_RETURN(const Trace trace, cli::ReadTrace(scenario.trace));
  Fleet fleet(scenario.fleet, trace);
  fleet.Run();
  return fleet.Figures();
}

absl::StatusOr<json> Soak(const char* requests, const char* seed) {
  SoakOptions options;
  if (!absl::SimpleAtoi(requests, &options.requests) || options.requests < 1 ||
      !absl::SimpleAtoi(seed, &options.seed)) {
    return absl::InvalidArgumentError(std::string("soak: expected REQUESTS SEED, got ") + requests +
                                      " " + seed);
  }
  return RunSoak(options);
}

int Main(int argc, char** argv) {
  const bool soak = argc == 4 && std::string(argv[1]) == "soak";
  if (argc != 1 && !soak) {
    std::cerr << "usage: chorus_simulate < SCENARIO | chorus_simulate soak REQUESTS SEED\n";
    return 2;
  }
  const absl::StatusOr<json> figures = soak ? Soak(argv[2], argv[3]) : RunScenario(&std::cin);
  if (!figures.ok()) {
    std::cerr << "chorus_simulate: " << figures.status().message() << "\n";
    return 1;
  }
  std::cout << *figures << std::endl;
  return 0;
}

}  // namespace
}  // namespace chorus::bench

int main(int argc, char** argv) { return chorus::bench::Main(argc, argv); }
