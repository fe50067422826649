// Fragments and the order of sums: kernels/DESIGN.md.
#include "kernels/device/arch.h"
#include "kernels/lora/shrink_kernel.h"

namespace chorus::kernels {
namespace {

// What a warp has of every turn of an item: some rank blocks, and some blocks of inputs.
struct WarpPart {
  int32_t first_rank_block;
  int32_t rank_blocks;  // none: the warp is not needed
  int32_t first;        // block of inputs of the item, in its first turn
};
CHORUS_HOST_DEVICE WarpPart PartOf(const LoraItem& item, int32_t warp) {
  const int32_t first = (warp >> item.warps_log) * kWarpRankBlocks;
  return {first, Min(kWarpRankBlocks, Max(0, item.rank_blocks - first)),
          (warp & ((1 << item.warps_log) - 1)) << item.blocks_log};
}

// A warp's blocks of inputs in one turn.
struct Blocks {
  int32_t first;
  int32_t count;
};
CHORUS_HOST_DEVICE Blocks BlocksOf(const LoraItem& item, const WarpPart& part, int32_t turn) {
  const int32_t first =
      item.first_block + (turn << (item.warps_log + item.blocks_log)) + part.first;
  const int32_t count = Min(1 << item.blocks_log, item.end_block - first);
  return {first, part.rank_blocks == 0 ? 0 : Max(0, count)};
}

// The tiles of these blocks: one run where the warp has all the rank blocks.
CHORUS_HOST_DEVICE TileRuns RunsOf(const LoraItem& item, const WarpPart& part,
                                   const Blocks& blocks) {
  const int32_t first = item.first_tile + (blocks.first - item.first_block) * item.rank_blocks +
                        part.first_rank_block;
  if (part.rank_blocks == item.rank_blocks) {
    return {first, blocks.count * item.rank_blocks, 1, 0};
  }
  return {first, part.rank_blocks, blocks.count, item.rank_blocks};
}

using Sums = float[kWarpRankBlocks][4];

// This lane's x of kCount blocks of inputs: inputs 8t … 8t + 7 of rows g and g + 8. Zero outside
// the warp's blocks, the site's inputs and the item's rows.
template <int kCount, class T, class Arch>
CHORUS_DEVICE void LoadX(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                         const Blocks& blocks, int32_t done, U4 (&low)[kCount],
                         U4 (&high)[kCount]) {
  const auto x = arch.Global(static_cast<const T*>(params.x),
                             int64_t{params.planes.rows - 1} * params.x_stride + params.inputs);
  const int row = arch.Lane() / 4;
  const int32_t k = (blocks.first + done) * kTileWidth + arch.Lane() % 4 * 8;
  const int64_t at = int64_t{item.first_row + row} * params.x_stride + k;
  CHORUS_UNROLL for (int j = 0; j < kCount; ++j) {
    const bool inside = done + j < blocks.count && k + j * kTileWidth < params.inputs;
    low[j] = U4{0, 0, 0, 0};
    high[j] = U4{0, 0, 0, 0};
    if (arch.Guard(inside && row < item.rows)) x.LoadTo(low[j], at + j * kTileWidth);
    if (arch.Guard(inside && row + 8 < item.rows)) {
      x.LoadTo(high[j], at + int64_t{8} * params.x_stride + j * kTileWidth);
    }
  }
}

// Adds x · Aᵀ of the warp's blocks of a turn. Lane 4g + t has inputs 8t … 8t + 7 of rank g of a
// tile, and the same of x: the order of K inside an MMA is free.
template <class T, class Arch, class Feeder>
CHORUS_DEVICE void AddTurn(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                           const WarpPart& part, const Blocks& blocks, Feeder& feed, Sums& sums) {
  constexpr int kCount = 4;
  U4 low[kCount];
  U4 high[kCount];
  LoadX<kCount, T>(arch, params, item, blocks, 0, low, high);
  const int32_t from = feed.Wait();
  CHORUS_NO_UNROLL for (int32_t done = 0; done < blocks.count; done += kCount) {
    if (done > 0) LoadX<kCount, T>(arch, params, item, blocks, done, low, high);
    CHORUS_UNROLL for (int j = 0; j < kCount; ++j) {
      if (done + j < blocks.count) {
        const int32_t tile = (done + j) * part.rank_blocks;
        CHORUS_UNROLL for (int n = 0; n < kWarpRankBlocks; ++n) {
          if (n < part.rank_blocks) {
            U4 w;
            feed.Load(w, from, tile + n);
            arch.Mma16816(T{}, sums[n], low[j].x, high[j].x, low[j].y, high[j].y, w.x, w.y);
            arch.Mma16816(T{}, sums[n], low[j].z, high[j].z, low[j].w, high[j].w, w.z, w.w);
          }
        }
      }
    }
  }
}

template <class Arch>
CHORUS_DEVICE auto WarpSumsOf(Arch& arch, int buffer) {
  return Shared<float>(arch, buffer * kLoraWarps * kWarpSums * 4, kLoraWarps * kWarpSums);
}

template <class Arch>
CHORUS_DEVICE void LeaveSums(Arch& arch, const WarpPart& part, int buffer, const Sums& sums) {
  const auto shared = WarpSumsOf(arch, buffer);
  constexpr int kRow = kWarpRankBlocks * kTileRanks;
  const int at = arch.Warp() * kWarpSums + arch.Lane() / 4 * kRow + arch.Lane() % 4 * 2;
  CHORUS_UNROLL for (int n = 0; n < kWarpRankBlocks; ++n) {
    if (n < part.rank_blocks) {
      shared.StoreFrom(F2{sums[n][0], sums[n][1]}, at + n * kTileRanks);
      shared.StoreFrom(F2{sums[n][2], sums[n][3]}, at + 8 * kRow + n * kTileRanks);
    }
  }
}

// Adds the warps' sums, in the order of the warps, to the item's plane: a warp takes every
// kLoraWarps-th row, a lane every kWarpThreads-th rank.
template <class Arch>
CHORUS_DEVICE void StorePlane(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                              int buffer) {
  const auto shared = WarpSumsOf(arch, buffer);
  const auto planes = arch.Global(params.planes.data, params.planes.count());
  constexpr int kRow = kWarpRankBlocks * kTileRanks;
  const int32_t warps = 1 << item.warps_log;
  CHORUS_NO_UNROLL for (int row = arch.Warp(); row < item.rows; row += kLoraWarps) {
    CHORUS_NO_UNROLL for (int rank = arch.Lane(); rank < item.rank_blocks * kTileRanks;
                          rank += kWarpThreads) {
      const int first = rank / kRow * warps * kWarpSums + row * kRow + rank % kRow;
      float sum = 0.0f;
      CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
        if (w < warps) sum += shared.Load(first + w * kWarpSums);
      }
      planes.Store(params.planes.Index(item.plane, item.first_row + row, item.xa_column + rank),
                   sum);
    }
  }
}

template <Feed kFeed, class T, class Arch>
CHORUS_DEVICE void LoraShrinkBody(Arch& arch, const LoraShrinkParams& params) {
  // Not behind the count: an item that is none is not looked at.
  LoraItem next = LoadItem(arch, params.work, Min(arch.Block(), params.work.capacity - 1));
  const int32_t count = arch.Global(params.work.count, 1).Load(0);
  if (arch.Block() >= count) {
    arch.WaitForPrior();
    return;
  }
  WarpFeed<Arch, kFeed> feed(arch, params.work, kShrinkFeedOffset);
  WarpPart next_part = PartOf(next, arch.Warp());
  feed.Ask(next, RunsOf(next, next_part, BlocksOf(next, next_part, 0)));
  arch.WaitForPrior();  // adapters do not come from it, but x does
  arch.LetNextBegin();
  int buffer = 0;
  CHORUS_NO_UNROLL for (int32_t i = arch.Block(); i < count; i += arch.Grid()) {
    const LoraItem item = next;
    const WarpPart part = next_part;
    const bool is_last = i + arch.Grid() >= count;
    if (!is_last) {
      next = LoadItem(arch, params.work, i + arch.Grid());
      next_part = PartOf(next, arch.Warp());
    }
    Sums sums;
    CHORUS_UNROLL for (int n = 0; n < kWarpRankBlocks; ++n) {
      CHORUS_UNROLL for (int e = 0; e < 4; ++e) sums[n][e] = 0.0f;
    }
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < item.turns; ++turn) {
      if (turn + 1 < item.turns) {
        feed.Ask(item, RunsOf(item, part, BlocksOf(item, part, turn + 1)));
      } else if (!is_last) {
        feed.Ask(next, RunsOf(next, next_part, BlocksOf(next, next_part, 0)));
      }
      AddTurn<T>(arch, params, item, part, BlocksOf(item, part, turn), feed, sums);
    }
    LeaveSums(arch, part, buffer, sums);
    arch.Sync();
    StorePlane(arch, params, item, buffer);
    buffer = 1 - buffer;
  }
}

}  // namespace

CHORUS_KERNEL(kLoraShrinkBf16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kBulk, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraShrinkF16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kBulk, F16>(arch, params)))
CHORUS_KERNEL(kLoraShrinkLanesBf16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kLanes, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraShrinkLanesF16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kLanes, F16>(arch, params)))

}  // namespace chorus::kernels
