// LoraCluster: shrink and expand of a site in one launch, a cluster of thread blocks for each unit
// of work (cluster_items.h). The blocks divide K, then N, and give each other their sums of xA
// through shared memory: no planes, no atomics, no second kernel. Compute capability 9.0 and newer.
#ifndef CHORUS_KERNELS_LORA_CLUSTER_KERNEL_H_
#define CHORUS_KERNELS_LORA_CLUSTER_KERNEL_H_

#include "kernels/lora/cluster_items.h"
#include "kernels/lora/expand_kernel.h"

namespace chorus::kernels {

struct LoraClusterParams {
  const void* x = nullptr;  // [num_rows, inputs] bf16 or f16, rows x_stride apart, 16-byte aligned
  int32_t x_stride = 0;     // elements, a multiple of 8
  int32_t inputs = 0;       // of the site
  int32_t num_rows = 0;
  int32_t num_modules = 0;  // of the site
  int32_t y_column[kMaxSiteModules] = {};
  int32_t y_width[kMaxSiteModules] = {};
  LoraWork work;             // a plan's list of steps, unit by unit, for clusters of this size
  float* delta = nullptr;    // [num_rows, delta_stride], overwritten in the columns of modules with
  int32_t delta_stride = 0;  // a rank; elements, a multiple of 8

  CHORUS_HOST_DEVICE int32_t rows() const { return num_rows; }
};

// Blocks of a cluster, then the pool's type. Threads: kLoraThreads; any number of clusters; shared
// memory: kLoraClusterShared.
extern const Kernel kLoraCluster4Bf16;
extern const Kernel kLoraCluster4F16;
extern const Kernel kLoraCluster8Bf16;
extern const Kernel kLoraCluster8F16;

// Shared memory: fragments of xA and factors as the expand has them, where a shrink leaves the sums
// of its warps first; steps of two units; the block's sums of xA for the others to read, in two
// buffers; the feeds. Two blocks fit a multiprocessor.
constexpr int32_t kClusterStepOffset = kExpandExponentOffset;
constexpr int32_t kUnitStepBytes = 2 * kMaxSiteModules * static_cast<int32_t>(sizeof(LoraItem));
constexpr int32_t kClusterSumsOffset = kClusterStepOffset + 2 * kUnitStepBytes;
constexpr int32_t kClusterSums = 2 * kMaxRankPairs * kWarpThreads * 4;  // [rank block][lane] F4
constexpr int32_t kClusterFeedOffset = kClusterSumsOffset + 2 * kClusterSums * 4;
constexpr int32_t kLoraClusterShared = kClusterFeedOffset + kFeedBytes;
static_assert(kLoraWarps * kWarpRankBlocks * kWarpThreads * 16 <= kExpandFactorOffset);
static_assert(kExponentBytes <= kClusterSums * 4);
static_assert(kClusterFeedOffset % 128 == 0);
static_assert(2 * (kLoraClusterShared + 1024) <= 228 << 10);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_CLUSTER_KERNEL_H_
