// The mutation test: every site (SiteKind) that a set of test cases comes by is taken away in turn,
// and the cases must then fail. One whose absence nothing notices is either not tested, or dead
// code.
#ifndef CHORUS_TESTS_SIMT_MUTATION_H_
#define CHORUS_TESTS_SIMT_MUTATION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/simt/simt_options.h"

namespace chorus::kernels {

struct MutationResult {
  std::string clean_failure;           // of the cases as they are, which ends the test
  std::vector<std::string> survivors;  // "shrink.cu:57 SyncWarp", nothing noticed its absence
  std::vector<std::string> caught;     // the same, with the order and what failed
};

// `run` runs the cases with the options it is given, all of them passed on to RunSimt, and returns
// "" or what failed: the executor, or a wrong number.
MutationResult MutateEverySite(const std::function<std::string(const SimtOptions&)>& run,
                               uint32_t seed = 1);

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_MUTATION_H_
