// A ring of stages that bulk copies fill, the way our kernels use it: all threads use a stage, a
// Sync, then warp 0 fills it anew.
#ifndef CHORUS_TESTS_SIMT_BULK_RING_H_
#define CHORUS_TESTS_SIMT_BULK_RING_H_

#include <cstdint>

#include "kernels/device/kernel.h"

namespace chorus::kernels {

constexpr int kBulkRingThreads = 64;
constexpr int kBulkRingStages = 3;
constexpr int kBulkRingTiles = 8;  // of a stage, each a copy of its own
constexpr int kBulkRingTileElements = 16;
constexpr int kBulkRingStageElements = kBulkRingTiles * kBulkRingTileElements;
constexpr int kBulkRingBarOffset = kBulkRingStages * kBulkRingStageElements * 4;  // byte
constexpr int kBulkRingSharedBytes = kBulkRingBarOffset + kBulkRingStages * 8;

struct BulkRingParams {
  const int32_t* in;  // [steps, kBulkRingStageElements]
  int32_t* out;       // [blocks, kBulkRingThreads] of thread t: the sum over the steps of
                      // (step + 1) · in[step][(t + step) % kBulkRingStageElements]
  int32_t steps;
};

extern const Kernel kBulkRing;

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_BULK_RING_H_
