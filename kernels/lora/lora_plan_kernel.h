// LoraPlan: once a step, counts the items of every layer and site, so that each thread block of a
// shrink or an expand finds its share by itself. Reads the tables as they are when the step runs,
// so one captured graph serves every mix of adapters and ranks.
#ifndef CHORUS_KERNELS_LORA_LORA_PLAN_KERNEL_H_
#define CHORUS_KERNELS_LORA_LORA_PLAN_KERNEL_H_

#include "kernels/device/kernel.h"
#include "kernels/lora/device_lora.h"
#include "kernels/lora/lora_items.h"

namespace chorus::kernels {

// The step's segments, and where the items of each begin. All pointers are the device's.
struct LoraStep {
  LoraDeviceTable table;
  const LoraSegment* segments = nullptr;  // [max_segments], disjoint, ascending first_row
  const int32_t* num_segments = nullptr;  // [1]
  int32_t* item_begin = nullptr;  // [layers, kNumLoraSites, 2 (shrink, expand), max_segments + 1]
  int32_t max_segments = 0;

  CHORUS_HOST_DEVICE int64_t num_item_begins() const {
    return int64_t{table.layers} * kNumLoraSites * 2 * (max_segments + 1);
  }
  // Of the first segment's entry.
  CHORUS_HOST_DEVICE int64_t ItemBeginIndex(int32_t layer, int32_t site, bool expand) const {
    return ((int64_t{layer} * kNumLoraSites + site) * 2 + (expand ? 1 : 0)) * (max_segments + 1);
  }
};

struct LoraPlanParams {
  LoraStep step;
  LoraSiteShape sites[kNumLoraSites];
  int32_t turns = 1;  // see PlaneBlocks
};

// Blocks: layers · kNumLoraSites · 2. Writes item_begin: entry s is the sum over the segments
// before s, entry num_segments the number of items. Shared memory: kLoraPlanShared.
extern const Kernel kLoraPlan;

constexpr int32_t kLoraPlanShared = 2 * kLoraWarps * static_cast<int32_t>(sizeof(int32_t));

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_PLAN_KERNEL_H_
