// The packed layout that PackedMatrix writes and Linear reads. Outputs come in panels of 48, three
// AVX-512 vectors: with eight rows that is 24 accumulators in registers, and 48 divides most
// models' widths. A panel is one contiguous stream, so a step reads the weights in order:
//   bf16   [outputs/48][inputs/2][48][2]    pairs, as AVX-512's vdpbf16ps takes them
//   f32    [outputs/48][inputs][48]
// Outputs behind the last one and the odd half of the last pair are zero.
#ifndef CHORUS_KERNELS_LINEAR_PANEL_H_
#define CHORUS_KERNELS_LINEAR_PANEL_H_

#include <cstdint>

#include "kernels/checked.h"
#include "kernels/device/dtype.h"
#include "kernels/linear/linear.h"

namespace chorus::kernels {

constexpr int64_t kPanelOutputs = 48;

constexpr int64_t PanelBytes(DType dtype, int64_t inputs) {
  return kPanelOutputs * (dtype == DType::kF32 ? inputs * 4 : CeilDiv<int64_t>(inputs, 2) * 4);
}

// Inputs are summed in blocks of this many, by absolute position, so that a block of a panel stays
// in the second-level cache while all rows pass over it. A block is one chain of multiply-adds;
// the blocks' sums are added to y in order.
constexpr int64_t kBlockInputs = 2048;

// Rows that pass over the panels together; their x stays in the second-level cache.
constexpr int64_t kTileRows = 128;

// One worker's piece: rows [row_begin, row_end) of panels [panel_begin, panel_end).
struct LinearPiece {
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
};

void LinearPieceF32(const LinearArgs& args, const LinearPiece& piece);
void LinearPieceBf16(const LinearArgs& args, const LinearPiece& piece);
// REQUIRES: CpuHasBf16().
void LinearPieceAvx512Bf16(const LinearArgs& args, const LinearPiece& piece);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_PANEL_H_
