// What LoraShrink and LoraExpand check alike: segments, slots and the tiles they name.
#ifndef CHORUS_KERNELS_LORA_LORA_CHECK_H_
#define CHORUS_KERNELS_LORA_LORA_CHECK_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/device/arg_check.h"
#include "kernels/lora/slots.h"

namespace chorus::kernels {

struct LoraBatch {
  std::span<const LoraSegment> segments;
  const LoraSlotTable* slots = nullptr;
  const PoolView* pool = nullptr;
  int layer = 0;
  const LoraSite* site = nullptr;
  int64_t rows = 0;     // of the batch
  int64_t xa_cols = 0;  // room for each row's ranks
  int64_t inputs = 0;   // of A; 0: B is used, whose outputs the site gives
};

// InvalidArgument unless segments are ascending, disjoint, inside the batch and in used slots, and
// every matrix and bias they use at this layer and site lies inside its adapter's cells.
absl::Status CheckLoraBatch(const ArgCheck& check, const LoraBatch& batch);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_CHECK_H_
