// A warp's part of xA · Bᵀ: the MMAs of one turn of an item, and the outputs that it stores. Device
// code of the expand and of the cluster kernel. Fragments: kernels/DESIGN.md.
//
// Params: delta [rows(), delta_stride], y_column, y_width, work.
#ifndef CHORUS_KERNELS_LORA_EXPAND_TURN_H_
#define CHORUS_KERNELS_LORA_EXPAND_TURN_H_

#include <type_traits>

#include "kernels/lora/expand_kernel.h"

namespace chorus::kernels {

// Adds xA · Bᵀ of one block of 32 outputs over `tiles` rank blocks, which begin at `tile` behind
// byte `from` of the feed's slots, and whose first pair of ranks is `pair`.
template <class T, class Arch, class Feeder>
CHORUS_DEVICE void AddBlock(Arch& arch, const Feeder& feed, int32_t from, int32_t tile,
                            int32_t tiles, int32_t pair, float (&sums)[4][4]) {
  const auto high = Shared<uint32_t>(arch, 0, kFragmentWords);
  const auto low = Shared<uint32_t>(arch, kExpandLowOffset, kFragmentWords);
  CHORUS_NO_UNROLL for (int32_t done = 0; done < tiles; done += 2) {
    U4 h, l, w0;
    const int at = ((pair + done / 2) * kWarpThreads + arch.Lane()) * 4;
    high.LoadTo(h, at);
    low.LoadTo(l, at);
    feed.Load(w0, from, tile + done);
    const uint32_t b0[4] = {w0.x, w0.y, w0.z, w0.w};
    if (done + 1 < tiles) {
      U4 w1;
      feed.Load(w1, from, tile + done + 1);
      const uint32_t b1[4] = {w1.x, w1.y, w1.z, w1.w};
      CHORUS_UNROLL for (int b = 0; b < 4; ++b) {
        arch.Mma16816(T{}, sums[b], h.x, h.y, h.z, h.w, b0[b], b1[b]);
        arch.Mma16816(T{}, sums[b], l.x, l.y, l.z, l.w, b0[b], b1[b]);
      }
    } else {
      CHORUS_UNROLL for (int b = 0; b < 4; ++b) {
        arch.Mma1688(T{}, sums[b], h.x, h.y, b0[b]);
        arch.Mma1688(T{}, sums[b], l.x, l.y, b0[b]);
      }
    }
  }
}

// This lane's eight values of lora_B.bias from `column` on, zero without one.
template <class T, class Arch, class Params>
CHORUS_DEVICE void LoadBias(Arch& arch, const Params& params, const LoraItem& item, int32_t column,
                            float (&bias)[8]) {
  U4 packed{0, 0, 0, 0};
  if (item.bias_tile >= 0) {
    const PoolCells& cells = params.work.pool;
    const int32_t tile = item.bias_tile + column / kTileElements;
    const int32_t cell = tile / cells.tiles_per_cell;
    const int64_t at = PageAddress(
        CellOf(arch, params.work.table, cells.num_ids, item.slot, cell), cells.cell_bytes(),
        int64_t{tile - cell * cells.tiles_per_cell} * PoolCells::kTileBytes);
    arch.Global(cells.base, cells.total_bytes()).LoadTo(packed, at + column % kTileElements * 2);
  }
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
  CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
    const F2 two = arch.Unpack(T{}, words[i]);
    bias[2 * i] = two.x;
    bias[2 * i + 1] = two.y;
  }
}

template <class T, class Out, class Arch, class Params>
CHORUS_DEVICE void StoreBlock(Arch& arch, const Params& params, const LoraItem& item, int32_t block,
                              const float (&sums)[4][4]) {
  const int32_t column = block * kTileWidth + arch.Lane() % 4 * 8;
  if (!arch.Guard(column < params.y_width[item.site_module])) return;
  float bias[8];
  LoadBias<T>(arch, params, item, column, bias);
  const auto factors = Shared<float>(arch, kExpandFactorOffset, kMaxSiteModules * kPieceRows);
  const auto delta =
      arch.Global(static_cast<Out*>(params.delta), int64_t{params.rows()} * params.delta_stride);
  CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
    const int32_t row = arch.Lane() / 4 + 8 * half;
    if (arch.Guard(row < item.rows)) {
      const float factor = factors.Load(item.site_module * kPieceRows + row);
      float y[8];
      CHORUS_UNROLL for (int b = 0; b < 4; ++b) {
        y[2 * b] = factor * sums[b][2 * half] + item.scale * bias[2 * b];
        y[2 * b + 1] = factor * sums[b][2 * half + 1] + item.scale * bias[2 * b + 1];
      }
      const int64_t at = int64_t{item.first_row + row} * params.delta_stride +
                         params.y_column[item.site_module] + column;
      if constexpr (std::is_same_v<Out, float>) {
        delta.StoreFrom(F4{y[0], y[1], y[2], y[3]}, at);
        delta.StoreFrom(F4{y[4], y[5], y[6], y[7]}, at + 4);
      } else {
        delta.StoreFrom(U4{arch.Pack(Out{}, y[0], y[1]), arch.Pack(Out{}, y[2], y[3]),
                           arch.Pack(Out{}, y[4], y[5]), arch.Pack(Out{}, y[6], y[7])},
                        at);
      }
    }
  }
}

CHORUS_DEVICE void ClearOutputs(float (&sums)[4][4]) {
  CHORUS_UNROLL for (int b = 0; b < 4; ++b) {
    CHORUS_UNROLL for (int e = 0; e < 4; ++e) sums[b][e] = 0.0f;
  }
}

// A warp's blocks of 32 outputs in range `range` of an item: what all warps take at once.
struct OutputBlocksPart {
  int32_t first;
  int32_t count;
};
CHORUS_HOST_DEVICE OutputBlocksPart OutputBlocksOf(const LoraItem& item, int32_t warp,
                                                   int32_t range) {
  const int32_t first = item.first_block + ((range * kLoraWarps + warp) << item.blocks_log);
  return {first, Max(0, Min(1 << item.blocks_log, item.end_block - first))};
}

// kWarpTiles at a time: all the warp's blocks at once, or of its one block the rank blocks from
// `done` on.
CHORUS_HOST_DEVICE TileRuns ExpandRunsOf(const LoraItem& item, const OutputBlocksPart& blocks,
                                         int32_t done) {
  return {item.first_tile + (blocks.first - item.first_block) * item.rank_blocks + done,
          Max(0, Min<int32_t>(kWarpTiles, blocks.count * item.rank_blocks - done)), 1, 0};
}

// One turn: those tiles, which begin at byte `from` of the feed's slots. `first_pair`: the module's
// first among the fragments.
template <class T, class Out, class Arch, class Params, class Feeder>
CHORUS_DEVICE void RunTurn(Arch& arch, const Params& params, const LoraItem& item,
                           const OutputBlocksPart& blocks, int32_t done, int32_t first_pair,
                           const Feeder& feed, int32_t from, float (&sums)[4][4]) {
  if (item.rank_blocks > kWarpTiles) {
    if (blocks.count == 0) return;
    if (done == 0) ClearOutputs(sums);
    AddBlock<T>(arch, feed, from, 0, Min<int32_t>(kWarpTiles, item.rank_blocks - done),
                first_pair + done / 2, sums);
    if (done + kWarpTiles >= item.rank_blocks) {
      StoreBlock<T, Out>(arch, params, item, blocks.first, sums);
    }
    return;
  }
  CHORUS_NO_UNROLL for (int32_t b = 0; b < blocks.count; ++b) {
    ClearOutputs(sums);
    AddBlock<T>(arch, feed, from, b * item.rank_blocks, item.rank_blocks, first_pair, sums);
    StoreBlock<T, Out>(arch, params, item, blocks.first + b, sums);
  }
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_EXPAND_TURN_H_
