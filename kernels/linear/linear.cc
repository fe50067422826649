#include "kernels/linear/linear.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/checked.h"
#include "kernels/device/arg_check.h"
#include "kernels/device/cpu_features.h"
#include "kernels/device/work_split.h"
#include "kernels/linear/panel.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

// Splits [tiles of rows][panels] into one contiguous run per worker, panels innermost: with few
// rows each worker streams its own part of the weights.
void LinearCpu(const LinearArgs& args, ComputePool& pool) {
  const int64_t rows = args.x.rows;
  const int64_t panels = CeilDiv(args.weight->outputs(), kPanelOutputs);
  const int64_t tiles = CeilDiv(rows, kTileRows);
  const auto piece = args.weight->dtype() == DType::kF32 ? LinearPieceF32
                     : CpuHasBf16()                      ? LinearPieceAvx512Bf16
                                                         : LinearPieceBf16;
  pool.ParallelFor(tiles * panels, 1, [&](int64_t begin, int64_t end, int) {
    while (begin < end) {
      const int64_t tile = begin / panels;
      const int64_t tile_end = std::min(end, (tile + 1) * panels);
      piece(args, {.row_begin = tile * kTileRows,
                   .row_end = std::min(rows, (tile + 1) * kTileRows),
                   .panel_begin = begin % panels,
                   .panel_end = tile_end - tile * panels});
      begin = tile_end;
    }
  });
}

}  // namespace

absl::Status Linear(const LinearArgs& args, const Stream& stream) {
  const ArgCheck check("Linear");
  CHORUS_RETURN_IF_ERROR(check.NotNull("weight", args.weight));
  const PackedMatrix& weight = *args.weight;
  const int64_t rows = args.x.rows;
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("x", args.x, ArgCheck::kAny, weight.inputs(), {weight.dtype()}));
  CHORUS_RETURN_IF_ERROR(check.Tensor("y", args.y, rows, weight.outputs(), {DType::kF32}));
  if (rows == 0) return absl::OkStatus();
  LinearCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
