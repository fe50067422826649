// LoraShrink on a device: planes of xA = x · Aᵀ for every segment of a step, at one layer and site,
// each adapter at its own rank.
#ifndef CHORUS_KERNELS_LORA_SHRINK_KERNEL_H_
#define CHORUS_KERNELS_LORA_SHRINK_KERNEL_H_

#include "kernels/lora/lora_walk.h"

namespace chorus::kernels {

// Partial sums of xA. Module m of a row's adapter has its ranks, each rounded up to kTileRanks, in
// columns that follow one another in the site's order; plane p of a group of rank blocks is the sum
// over its inputs [p, p + 1) · PlaneBlocks · 32.
struct LoraPlanes {
  float* data = nullptr;  // [MaxPlanes, rows, stride]
  int32_t rows = 0;
  int32_t stride = 0;  // columns, at least any adapter's ranks at a site; a multiple of 8

  CHORUS_HOST_DEVICE int64_t Index(int32_t plane, int32_t row, int32_t column) const {
    return (int64_t{plane} * rows + row) * stride + column;
  }
  CHORUS_HOST_DEVICE int64_t count(int32_t planes) const { return int64_t{planes} * rows * stride; }
};

struct LoraShrinkParams {
  const void* x =
      nullptr;           // [planes.rows, inputs] bf16 or f16, rows x_stride apart, 16-byte aligned
  int32_t x_stride = 0;  // elements, a multiple of 8
  int32_t inputs = 0;    // of the site
  int32_t turns = 1;     // as in the step's plan
  LoraWork work;
  LoraPlanes planes;  // overwritten where a segment's module has ranks; else untouched
};

// Threads: kLoraThreads; any number of blocks; shared memory: kLoraShrinkShared.
extern const Kernel kLoraShrinkBf16;
extern const Kernel kLoraShrinkF16;

// Shared memory: two buffers of the warps' sums [kLoraWarps, kPieceRows, 32 ranks] f32, then rings.
constexpr int32_t kShrinkSums = kLoraWarps * kPieceRows * 4 * kTileRanks;
constexpr int32_t kShrinkRingSlots = 2;
constexpr int32_t kShrinkRingOffset = 2 * kShrinkSums * static_cast<int32_t>(sizeof(float));
constexpr int32_t kShrinkRingBytes = kShrinkRingSlots * kItemTiles * PoolCells::kTileBytes;
constexpr int32_t kLoraShrinkShared = kShrinkRingOffset + kShrinkRingBytes;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_SHRINK_KERNEL_H_
