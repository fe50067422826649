// Adapters of the simulator: a rank, the pages and bytes that it makes on a machine, and no file.
#ifndef CHORUS_BENCH_SIMULATE_SIMULATED_ADAPTER_H_
#define CHORUS_BENCH_SIMULATE_SIMULATED_ADAPTER_H_

#include <cstdint>
#include <vector>

#include "bench/adapters/layout_adapter.h"
#include "bench/simulate/machines.h"
#include "engine/adapters/adapter_version.h"

namespace chorus::bench {

// The layout of an adapter of one rank, in all seven linears or in those of attention alone: pages
// as the engine counts them, entries of the first layer only, since the others are the same.
engine::ImageLayout LayoutOfRank(const Machine& machine, int32_t rank, bool attention_only);

// Adapters 0 … count - 1 of tenant "shared", their ranks in turns.
std::vector<engine::AdapterRef> MakeAdapters(const Machine& machine, int64_t count,
                                             const std::vector<int32_t>& ranks,
                                             bool attention_only);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_SIMULATED_ADAPTER_H_
