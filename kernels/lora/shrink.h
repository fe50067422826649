// LoraShrink: xA = x · Aᵀ for every segment of a batch, each at its own ranks.
#ifndef CHORUS_KERNELS_LORA_SHRINK_H_
#define CHORUS_KERNELS_LORA_SHRINK_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/device/stream.h"
#include "kernels/lora/slots.h"

namespace chorus::kernels {

struct LoraShrinkArgs {
  TensorView x;                           // [rows, inputs] the pool's type
  std::span<const LoraSegment> segments;  // disjoint, ascending first_row
  const LoraSlotTable* slots = nullptr;
  PoolView pool;
  int layer = 0;
  LoraSite site;
  TensorView
      xa;  // [rows, >= max SiteRanks] f32; columns [0, SiteRanks) of segment rows overwritten
};

// The sum over inputs runs in an order fixed by the width alone (the law of the mixed batch).
// InvalidArgument when shapes or types do not fit.
absl::Status LoraShrink(const LoraShrinkArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_SHRINK_H_
