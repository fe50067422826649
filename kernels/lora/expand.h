// LoraExpand: y += scale · (xA · Bᵀ + bias) for every segment of a batch, each at its own ranks.
#ifndef CHORUS_KERNELS_LORA_EXPAND_H_
#define CHORUS_KERNELS_LORA_EXPAND_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/device/stream.h"
#include "kernels/lora/slots.h"

namespace chorus::kernels {

struct LoraExpandArgs {
  TensorView xa;                          // [rows, >= max SiteRanks] f32, as LoraShrink left it
  std::span<const LoraSegment> segments;  // disjoint, ascending first_row
  const LoraSlotTable* slots = nullptr;
  PoolView pool;
  int layer = 0;
  LoraSite site;
  TensorView y;  // [rows, outputs] f32; added to in the site's columns of segment rows
};

// Rows outside the segments are neither read nor written.
// InvalidArgument when shapes or types do not fit.
absl::Status LoraExpand(const LoraExpandArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_EXPAND_H_
