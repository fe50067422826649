// LoraPlan: once a step, writes the list of items of every layer and site, so that a block of a
// shrink, of an expand or of a cluster reads what it has to do, and which modules of a row get a
// delta, for the kernels that add it. Reads the tables as they are when
// the step runs, so one captured graph serves every mix of adapters and ranks.
#ifndef CHORUS_KERNELS_LORA_LORA_PLAN_KERNEL_H_
#define CHORUS_KERNELS_LORA_LORA_PLAN_KERNEL_H_

#include "kernels/device/kernel.h"
#include "kernels/lora/cluster_items.h"
#include "kernels/lora/device_lora.h"
#include "kernels/lora/lora_items.h"

namespace chorus::kernels {

// The lists of a step: of every layer [kNumLoraSites, 2 (shrink, expand)], each as long as the
// step's limits on rows, segments and ranks ask for (list_capacity.h). All pointers are the
// device's.
struct LoraLists {
  static constexpr int kOfLayer = 2 * kNumLoraSites;

  LoraItem* items = nullptr;  // [num_items()]
  int32_t* counts = nullptr;  // [num_lists()]
  int32_t layers = 0;
  int32_t item_begin[kOfLayer + 1] = {};  // of each list of a layer, and the layer's items

  CHORUS_HOST_DEVICE int64_t num_lists() const { return int64_t{layers} * kOfLayer; }
  CHORUS_HOST_DEVICE int64_t num_items() const { return int64_t{layers} * item_begin[kOfLayer]; }
  CHORUS_HOST_DEVICE int32_t ListOf(int32_t layer, int32_t site, bool expand) const {
    return (layer * kNumLoraSites + site) * 2 + (expand ? 1 : 0);
  }
  CHORUS_HOST_DEVICE LoraItem* ItemsOf(int32_t list) const {
    return items + int64_t{list / kOfLayer} * item_begin[kOfLayer] + item_begin[list % kOfLayer];
  }
  CHORUS_HOST_DEVICE int32_t Capacity(int32_t list) const {
    return item_begin[list % kOfLayer + 1] - item_begin[list % kOfLayer];
  }
};

struct LoraPlanParams {
  LoraDeviceTable table;
  const LoraSegment* segments = nullptr;  // [max_segments], disjoint, ascending first_row
  const int32_t* num_segments = nullptr;  // [1]
  int32_t max_segments = 0;               // at most kMaxPlanSegments
  int32_t max_planes = 16;                // see PlaneTurns; at most 255
  int32_t spread = 0;                     // blocks that lists of few expands are cut for
  int32_t cluster_blocks =
      0;  // above 0, lists are for clusters of so many blocks (cluster_items.h):
          // a site's steps in its list of shrinks, none in that of expands
  LoraSiteShape sites[kNumLoraSites];
  int32_t rows = 0;                 // of the step
  uint32_t* row_modules = nullptr;  // [lists.layers, rows] as LoraDelta has them, overwritten
  int64_t pool_ids = 0;             // of the pool, as PoolCells has them
  int32_t tiles_per_cell = 0;
  LoraLists lists;  // overwritten. REQUIRES: the segments' items fit, and `spread` expands

  CHORUS_HOST_DEVICE int32_t blocks() const {
    return static_cast<int32_t>(lists.num_lists()) + lists.layers;
  }
};

constexpr int32_t kMaxPlanSegments = 2048;
// Shared memory: where each segment's items begin, then sums of the warps in two buffers.
constexpr int32_t kPlanSumsOffset = (kMaxPlanSegments + 1) * 4 + 124;
constexpr int32_t kLoraPlanShared = kPlanSumsOffset + 2 * kLoraWarps * 4;
static_assert(kPlanSumsOffset % 128 == 0);

// Blocks: LoraPlanParams::blocks(). Threads: kLoraThreads.
extern const Kernel kLoraPlan;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_PLAN_KERNEL_H_
