// How long the lists of a step's LoRA can get, whatever legal mix comes: what their memory is sized
// by. Pure functions.
#ifndef CHORUS_KERNELS_LORA_LIST_CAPACITY_H_
#define CHORUS_KERNELS_LORA_LIST_CAPACITY_H_

#include <cstdint>

#include "kernels/lora/cluster_items.h"

namespace chorus::kernels {

// Of one step. A segment's rank is the largest of its adapter's.
struct LoraStepLimits {
  int32_t max_rows = 0;
  int32_t max_segments = 0;
  int32_t max_rank = 0;      // of a segment
  int64_t max_rank_sum = 0;  // of all segments
};

// Most items of a step at one layer of `site`: at least what any mix within `limits` makes, and no
// more than its pieces make with the ranks shared out as badly as they can be.
int32_t MaxShrinkItems(const LoraSiteShape& site, int32_t max_planes, const LoraStepLimits& limits);
int32_t MaxExpandItems(const LoraSiteShape& site, const LoraStepLimits& limits);
// The same of steps for clusters of `cluster_blocks` blocks: whole units, and one at least.
int32_t MaxClusterSteps(const LoraSiteShape& site, int32_t cluster_blocks,
                        const LoraStepLimits& limits);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LIST_CAPACITY_H_
