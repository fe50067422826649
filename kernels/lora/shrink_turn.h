// A warp's part of x · Aᵀ: what it has of an item, and the MMAs of one turn. Device code of the
// shrink and of the cluster kernel. Fragments: kernels/DESIGN.md.
//
// Params: x [rows(), inputs], rows x_stride apart.
#ifndef CHORUS_KERNELS_LORA_SHRINK_TURN_H_
#define CHORUS_KERNELS_LORA_SHRINK_TURN_H_

#include "kernels/lora/warp_feed.h"

namespace chorus::kernels {

// What a warp has of every turn of an item: some rank blocks, and some blocks of inputs.
struct ShrinkPart {
  int32_t first_rank_block;
  int32_t rank_blocks;  // none: the warp is not needed
  int32_t first;        // block of inputs of the item, in its first turn
};
CHORUS_HOST_DEVICE ShrinkPart ShrinkPartOf(const LoraItem& item, int32_t warp) {
  const int32_t first = (warp >> item.warps_log) * kWarpRankBlocks;
  return {first, Min(kWarpRankBlocks, Max(0, item.rank_blocks - first)),
          (warp & ((1 << item.warps_log) - 1)) << item.blocks_log};
}

// A warp's blocks of inputs in one turn.
struct InputBlocks {
  int32_t first;
  int32_t count;
};
CHORUS_HOST_DEVICE InputBlocks InputBlocksOf(const LoraItem& item, const ShrinkPart& part,
                                             int32_t turn) {
  const int32_t first =
      item.first_block + (turn << (item.warps_log + item.blocks_log)) + part.first;
  const int32_t count = Min(1 << item.blocks_log, item.end_block - first);
  return {first, part.rank_blocks == 0 ? 0 : Max(0, count)};
}

// The tiles of these blocks: one run where the warp has all the rank blocks.
CHORUS_HOST_DEVICE TileRuns ShrinkRunsOf(const LoraItem& item, const ShrinkPart& part,
                                         const InputBlocks& blocks) {
  const int32_t first = item.first_tile + (blocks.first - item.first_block) * item.rank_blocks +
                        part.first_rank_block;
  if (part.rank_blocks == item.rank_blocks) {
    return {first, blocks.count * item.rank_blocks, 1, 0};
  }
  return {first, part.rank_blocks, blocks.count, item.rank_blocks};
}

using ShrinkSums = float[kWarpRankBlocks][4];

CHORUS_DEVICE void ClearSums(ShrinkSums& sums) {
  CHORUS_UNROLL for (int n = 0; n < kWarpRankBlocks; ++n) {
    CHORUS_UNROLL for (int e = 0; e < 4; ++e) sums[n][e] = 0.0f;
  }
}

// This lane's x of kCount blocks of inputs: inputs 8t … 8t + 7 of rows g and g + 8. Zero outside
// the warp's blocks, the site's inputs and the item's rows.
template <int kCount, class T, class Arch, class Params>
CHORUS_DEVICE void LoadX(Arch& arch, const Params& params, const LoraItem& item,
                         const InputBlocks& blocks, int32_t done, U4 (&low)[kCount],
                         U4 (&high)[kCount]) {
  const auto x = arch.Global(static_cast<const T*>(params.x),
                             int64_t{params.rows() - 1} * params.x_stride + params.inputs);
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

// Adds x · Aᵀ of the warp's blocks of a turn, x of kCount of them at a time. Lane 4g + t has inputs
// 8t … 8t + 7 of rank g of a tile, and the same of x: the order of K inside an MMA is free.
template <int kCount, class T, class Arch, class Params, class Feeder>
CHORUS_DEVICE void AddTurn(Arch& arch, const Params& params, const LoraItem& item,
                           const ShrinkPart& part, const InputBlocks& blocks, Feeder& feed,
                           ShrinkSums& sums) {
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

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_SHRINK_TURN_H_
