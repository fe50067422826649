#include "kernels/lora/shrink.h"

#include <algorithm>

#include "kernels/device/arg_check.h"
#include "kernels/device/cpu_features.h"
#include "kernels/device/work_split.h"
#include "kernels/lora/lora_check.h"
#include "kernels/lora/shrink_cpu.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

// A tile costs its bytes and some work for each row.
int64_t BlockCost(int64_t inputs, int64_t rows) {
  return CeilDiv<int64_t>(inputs, kTileWidth) * (2 + rows);
}

// Calls visit(piece) for each module and chunk of rows, with all its rank blocks.
template <class Visit>
void ForEachPiece(const LoraShrinkArgs& args, const Visit& visit) {
  for (const LoraSegment& segment : args.segments) {
    const LoraSlot& slot = (*args.slots)[static_cast<size_t>(segment.slot)];
    for (int first = 0; first < segment.num_rows; first += kShrinkChunkRows) {
      ShrinkPiece piece{.slot = &slot};
      piece.first_row = segment.first_row + first;
      piece.num_rows = std::min(kShrinkChunkRows, segment.num_rows - first);
      for (int m = 0; m < args.site.num_modules; ++m) {
        piece.entry = &slot.entry(args.layer, args.site.modules[m]);
        piece.block_end = CeilDiv(piece.entry->rank, kTileRanks);
        if (piece.block_end > 0) visit(piece);
        piece.xa_column += piece.block_end * kTileRanks;
      }
    }
  }
}

// The tiles that `next` reads, unless they are the same as those of `piece`.
TileFetcher FetcherFor(const LoraShrinkArgs& args, const ShrinkPiece& piece,
                       const ShrinkPiece& next) {
  const int64_t rank_blocks = CeilDiv(next.entry->rank, kTileRanks);
  if (next.entry == piece.entry || next.block_end - next.block_begin < rank_blocks) return {};
  return {args.pool, next.slot->cells, next.entry->a_tile,
          MatrixTiles(args.x.cols, next.entry->rank)};
}

void ShrinkCpu(const LoraShrinkArgs& args, ComputePool& pool) {
  int64_t total = 0;
  ForEachPiece(args, [&](const ShrinkPiece& piece) {
    total += piece.block_end * BlockCost(args.x.cols, piece.num_rows);
  });
  if (total == 0) return;
  const auto run = args.pool.dtype == DType::kF32 ? ShrinkPieceF32
                   : CpuHasBf16()                 ? ShrinkPieceAvx512Bf16
                                                  : ShrinkPieceBf16;
  const auto work = [&](int worker, int num_workers) {
    WorkShare share(total, worker, num_workers);
    ShrinkPiece held;  // waits until its successor is known
    ForEachPiece(args, [&](ShrinkPiece piece) {
      const auto range = share.Take(piece.block_end, BlockCost(args.x.cols, piece.num_rows));
      piece.block_begin = range.begin;
      piece.block_end = range.end;
      if (range.begin >= range.end) return;
      if (held.entry != nullptr) run(args, held, FetcherFor(args, held, piece));
      held = piece;
    });
    if (held.entry != nullptr) run(args, held, TileFetcher());
  };
  if (total < kMinSharedTiles) {
    work(0, 1);
  } else {
    pool.Run([&](int worker) { work(worker, pool.num_workers()); });
  }
}

}  // namespace

absl::Status LoraShrink(const LoraShrinkArgs& args, const Stream& stream) {
  const ArgCheck check("LoraShrink");
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("x", args.x, ArgCheck::kAny, ArgCheck::kAny, {args.pool.dtype}));
  CHORUS_RETURN_IF_ERROR(check.WideTensor("xa", args.xa, args.x.rows, 0, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(CheckLoraBatch(check, {.segments = args.segments,
                                                .slots = args.slots,
                                                .pool = &args.pool,
                                                .layer = args.layer,
                                                .site = &args.site,
                                                .rows = args.x.rows,
                                                .xa_cols = args.xa.cols,
                                                .inputs = std::max<int64_t>(args.x.cols, 1)}));
  ShrinkCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
