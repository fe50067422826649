#include "kernels/lora/expand.h"

#include "absl/strings/str_cat.h"
#include "kernels/device/arg_check.h"
#include "kernels/device/work_split.h"
#include "kernels/lora/expand_cpu.h"
#include "kernels/lora/lora_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

// A tile costs its bytes and some work for each row; so does the block of y.
int64_t BlockCost(const ExpandPiece& piece) {
  const int64_t rank_blocks = CeilDiv(piece.entry->rank, kTileRanks);
  return (rank_blocks + 1) * (2 + piece.num_rows);
}

// Calls visit(piece) for each module of each segment, with all its blocks of outputs.
template <class Visit>
void ForEachPiece(const LoraExpandArgs& args, const Visit& visit) {
  for (const LoraSegment& segment : args.segments) {
    const LoraSlot& slot = (*args.slots)[static_cast<size_t>(segment.slot)];
    ExpandPiece piece{.slot = &slot};
    piece.first_row = segment.first_row;
    piece.num_rows = segment.num_rows;
    for (int m = 0; m < args.site.num_modules; ++m) {
      piece.entry = &slot.entry(args.layer, args.site.modules[m]);
      piece.y_column = args.site.y_column[m];
      piece.y_width = args.site.y_width[m];
      piece.block_end = CeilDiv<int64_t>(piece.y_width, kTileWidth);
      if (piece.entry->rank > 0) visit(piece);
      piece.xa_column += RoundUp(piece.entry->rank, kTileRanks);
    }
  }
}

// The tiles that a piece reads.
TileFetcher FetcherFor(const LoraExpandArgs& args, const ExpandPiece& piece) {
  const int64_t rank_blocks = CeilDiv(piece.entry->rank, kTileRanks);
  return {args.pool, piece.slot->cells, piece.entry->b_tile + piece.block_begin * rank_blocks,
          (piece.block_end - piece.block_begin) * rank_blocks};
}

void ExpandCpu(const LoraExpandArgs& args, ComputePool& pool) {
  int64_t total = 0;
  ForEachPiece(args,
               [&](const ExpandPiece& piece) { total += piece.block_end * BlockCost(piece); });
  if (total == 0) return;
  const auto work = [&](int worker, int num_workers) {
    WorkShare share(total, worker, num_workers);
    ExpandPiece held;  // waits until its successor is known
    ForEachPiece(args, [&](ExpandPiece piece) {
      const auto range = share.Take(piece.block_end, BlockCost(piece));
      piece.block_begin = range.begin;
      piece.block_end = range.end;
      if (range.begin >= range.end) return;
      if (held.entry != nullptr) RunExpandPiece(args, held, FetcherFor(args, piece));
      held = piece;
    });
    if (held.entry != nullptr) RunExpandPiece(args, held, TileFetcher());
  };
  if (total < kMinSharedTiles) {
    work(0, 1);
  } else {
    pool.Run([&](int worker) { work(worker, pool.num_workers()); });
  }
}

absl::Status CheckColumns(const ArgCheck& check, const LoraSite& site, int64_t cols) {
  for (int m = 0; m < site.num_modules; ++m) {
    if (site.y_column[m] < 0 || site.y_width[m] < 0 || site.y_column[m] + site.y_width[m] > cols) {
      return check.Fail(absl::StrCat("site module ", m, " has columns [", site.y_column[m], ", ",
                                     site.y_column[m] + site.y_width[m], "), want them in [0, ",
                                     cols, ")"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LoraExpand(const LoraExpandArgs& args, const Stream& stream) {
  const ArgCheck check("LoraExpand");
  CHORUS_RETURN_IF_ERROR(check.Tensor("y", args.y, ArgCheck::kAny, ArgCheck::kAny, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(check.WideTensor("xa", args.xa, args.y.rows, 0, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(CheckLoraBatch(check, {.segments = args.segments,
                                                .slots = args.slots,
                                                .pool = &args.pool,
                                                .layer = args.layer,
                                                .site = &args.site,
                                                .rows = args.y.rows,
                                                .xa_cols = args.xa.cols}));
  CHORUS_RETURN_IF_ERROR(CheckColumns(check, args.site, args.y.cols));
  ExpandCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
