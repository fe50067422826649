// LoraShrink on a device: planes of xA = x · Aᵀ for every segment of a step, at one layer and site,
// each adapter at its own rank.
#ifndef CHORUS_KERNELS_LORA_SHRINK_KERNEL_H_
#define CHORUS_KERNELS_LORA_SHRINK_KERNEL_H_

#include "kernels/lora/block_items.h"

namespace chorus::kernels {

// Partial sums of xA. Module m of a row's adapter has its ranks, each rounded up to kTileRanks, in
// columns that follow one another in the site's order; a plane is the sum over the inputs of one
// shrink item.
struct LoraPlanes {
  float* data = nullptr;  // [max_planes, rows, stride]
  int32_t max_planes = 0;
  int32_t rows = 0;
  int32_t stride = 0;  // columns, at least any adapter's ranks at a site; a multiple of 8

  CHORUS_HOST_DEVICE int64_t Index(int32_t plane, int32_t row, int32_t column) const {
    return (int64_t{plane} * rows + row) * stride + column;
  }
  CHORUS_HOST_DEVICE int64_t count() const { return int64_t{max_planes} * rows * stride; }
};

struct LoraShrinkParams {
  const void* x =
      nullptr;           // [planes.rows, inputs] bf16 or f16, rows x_stride apart, 16-byte aligned
  int32_t x_stride = 0;  // elements, a multiple of 8
  int32_t inputs = 0;    // of the site
  LoraWork work;
  LoraPlanes planes;  // overwritten where a segment's module has ranks; else untouched

  CHORUS_HOST_DEVICE int32_t rows() const { return planes.rows; }
};

// Threads: kLoraThreads; any number of blocks; shared memory: kLoraShrinkShared.
// Lanes: for GPUs older than compute capability 9.0, where the others trap; shared memory:
// kLoraShrinkLanesShared.
extern const Kernel kLoraShrinkBf16;
extern const Kernel kLoraShrinkF16;
extern const Kernel kLoraShrinkLanesBf16;
extern const Kernel kLoraShrinkLanesF16;

// Shared memory: two buffers of every warp's sums in f32, then the feeds, then items. Older GPUs
// have less of it: one buffer, and a Sync more, and no items, for two blocks on a multiprocessor.
constexpr int32_t kWarpSums = kPieceRows * kWarpRankBlocks * kTileRanks;
constexpr int32_t kWarpSumsBytes = kLoraWarps * kWarpSums * 4;
constexpr int32_t kLoraShrinkShared = 2 * kWarpSumsBytes + kFeedBytes + kHeldItemsBytes;
constexpr int32_t kLoraShrinkLanesShared = kWarpSumsBytes + kFeedBytes;
static_assert(2 * (kLoraShrinkShared + 1024) <= 228 << 10);
static_assert(2 * (kLoraShrinkLanesShared + 1024) <= 164 << 10);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_SHRINK_KERNEL_H_
