// Kernels that measure a device, one source for a GPU and for the simulator.
#ifndef CHORUS_BENCH_GPU_PROBE_KERNELS_H_
#define CHORUS_BENCH_GPU_PROBE_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/device/kernel.h"

namespace chorus::kernels {

constexpr int kReadCellsThreads = 256;

// Reads whole cells in the order of a list. All pointers are the device's.
struct ReadCellsParams {
  const std::byte* base;  // [num_cells · cell_bytes]
  int64_t num_cells;
  int64_t cell_bytes;    // a multiple of 16
  const int32_t* cells;  // [count]
  int64_t count;
  uint32_t* sums;  // [blocks, kReadCellsThreads] exclusive or of the words that each thread read
};
// Any number of blocks: they share out what there is.
extern const Kernel kReadCells;

// One word, so that a launch costs what a launch costs.
struct TouchParams {
  uint32_t* word;  // [1] one more
};
// One block.
extern const Kernel kTouch;

}  // namespace chorus::kernels

#endif  // CHORUS_BENCH_GPU_PROBE_KERNELS_H_
