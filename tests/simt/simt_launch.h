// Launches of kernels on the SIMT executor. Kernels come from sources that were compiled with g++
// (chorus_simt_kernels in cmake_helpers.cmake). Any number of threads, each with its own memory.
#ifndef CHORUS_TESTS_SIMT_SIMT_LAUNCH_H_
#define CHORUS_TESTS_SIMT_SIMT_LAUNCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/device/kernel.h"
#include "tests/simt/simt_memory.h"
#include "tests/simt/simt_options.h"

namespace chorus::kernels {

// Runs `blocks` thread blocks, or those up to the first cluster that fails. REQUIRES: `params` is
// the kernel's struct, blocks > 0 and a multiple of the kernel's clusters.
SimtReport RunSimt(const Kernel& kernel, int32_t blocks, int32_t shared_bytes, const void* params,
                   SimtMemory& memory, const SimtOptions& options = {});

// One run for each order, those of `seed` where there are several; MMAs round to nearest in some
// and are cut off in others.
std::vector<SimtOptions> EveryOrder(uint32_t seed);
// For messages: "random order, seed 7, chosen warp 3, sums cut off".
std::string Name(const SimtOptions& options);

// Runs the launch in every order. Before each run outputs that are written once are poisoned, and
// `prepare` restores what else a launch changes; after it, `check` says what is wrong with the
// results, "" if nothing is. The first failure with its order, "" if there is none.
std::string RunInEveryOrder(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                            const void* params, SimtMemory& memory, uint32_t seed,
                            const std::function<void()>& prepare,
                            const std::function<std::string()>& check);

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIMT_LAUNCH_H_
