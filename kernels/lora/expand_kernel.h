// LoraExpand on a device: the delta scale · (xA · Bᵀ + bias) of every segment of a step, at one
// layer and site, each adapter at its own rank. Adds up the planes that LoraShrink left.
#ifndef CHORUS_KERNELS_LORA_EXPAND_KERNEL_H_
#define CHORUS_KERNELS_LORA_EXPAND_KERNEL_H_

#include "kernels/lora/shrink_kernel.h"

namespace chorus::kernels {

struct LoraExpandParams {
  int32_t inputs = 0;      // of the site, whose planes these are
  int32_t max_planes = 0;  // as in the step's plan
  int32_t y_column[kMaxSiteModules] = {};
  int32_t y_width[kMaxSiteModules] = {};
  LoraWork work;
  LoraPlanes planes;
  void* delta = nullptr;  // [planes.rows, delta_stride] f32 or the pool's type, overwritten in the
  int32_t delta_stride = 0;  // columns of modules with a rank; elements, a multiple of 8

  CHORUS_HOST_DEVICE int32_t rows() const { return planes.rows; }
};

// The pool's type, then that of the delta. Threads: kLoraThreads; any number of blocks; shared
// memory: kLoraExpandShared, Lanes kLoraExpandLanesShared.
extern const Kernel kLoraExpandBf16F32;
extern const Kernel kLoraExpandF16F32;
extern const Kernel kLoraExpandBf16Bf16;
extern const Kernel kLoraExpandF16F16;
extern const Kernel kLoraExpandLanesBf16F32;
extern const Kernel kLoraExpandLanesF16F32;
extern const Kernel kLoraExpandLanesBf16Bf16;
extern const Kernel kLoraExpandLanesF16F16;

// Shared memory: xA of a piece as A fragments of its rank pairs, rounded (high) and what rounding
// left (low); a factor for each module and row; the exponent of each pair's largest in each row,
// f16 only; then the feeds; then items, but for Lanes.
constexpr int32_t kFragmentWords = kMaxRankPairs * kWarpThreads * 4;
constexpr int32_t kExpandLowOffset = kFragmentWords * 4;
constexpr int32_t kExpandFactorOffset = 2 * kFragmentWords * 4;
constexpr int32_t kExpandExponentOffset = kExpandFactorOffset + kMaxSiteModules * kPieceRows * 4;
constexpr int32_t kExponentBytes = kMaxRankPairs * kPieceRows * 2;
constexpr int32_t kExpandFeedOffset = kExpandFactorOffset + 768;
constexpr int32_t kExpandItemsOffset = kExpandFeedOffset + kFeedBytes;
constexpr int32_t kLoraExpandShared = kExpandItemsOffset + kHeldItemsBytes;
constexpr int32_t kLoraExpandLanesShared = kExpandItemsOffset;
static_assert(kExpandExponentOffset + kExponentBytes <= kExpandFeedOffset);
static_assert(kExpandFeedOffset % 128 == 0);
static_assert(2 * (kLoraExpandLanesShared + 1024) <= 164 << 10);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_EXPAND_KERNEL_H_
