// The xA of an item is added up, rounded and laid out by the whole block. Fragments:
// kernels/DESIGN.md.
#include <type_traits>

#include "kernels/device/arch.h"
#include "kernels/lora/expand_kernel.h"

namespace chorus::kernels {
namespace {

// This lane's eight values of rank pair `pair`: registers 0 … 3 of an A fragment, two in each.
template <class Arch>
CHORUS_DEVICE void AddPlanes(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                             int32_t pair, F2 (&values)[4]) {
  constexpr int kAtOnce = 4;
  const int32_t num_planes =
      Planes(params.inputs, item.rank_blocks * kTileRanks, params.max_planes);
  const auto planes = arch.Global(params.planes.data, params.planes.count());
  CHORUS_UNROLL for (int i = 0; i < 4; ++i) values[i] = F2{0.0f, 0.0f};
  CHORUS_NO_UNROLL for (int32_t first = 0; first < num_planes; first += kAtOnce) {
    F2 loaded[4][kAtOnce];
    CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
      const int32_t row = arch.Lane() / 4 + 8 * (i % 2);
      const int32_t block = 2 * pair + i / 2;
      const int32_t column = item.xa_column + block * kTileRanks + arch.Lane() % 4 * 2;
      const bool inside = row < item.rows && block < item.rank_blocks;
      CHORUS_UNROLL for (int p = 0; p < kAtOnce; ++p) {
        loaded[i][p] = F2{0.0f, 0.0f};
        if (arch.Guard(inside && first + p < num_planes)) {
          planes.LoadTo(loaded[i][p], params.planes.Index(first + p, item.first_row + row, column));
        }
      }
    }
    CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
      CHORUS_UNROLL for (int p = 0; p < kAtOnce; ++p) {
        values[i].x += loaded[i][p].x;
        values[i].y += loaded[i][p].y;
      }
    }
  }
}

// The exponent field of `value`, or that of 1 where there is no power of two to take out.
CHORUS_DEVICE uint32_t ExponentOf(float value) {
  const uint32_t exponent = __builtin_bit_cast(uint32_t, value) >> 23 & 0xffu;
  return exponent == 0 || exponent >= 254 ? 127u : exponent;
}
CHORUS_DEVICE float PowerOfTwo(uint32_t exponent) {
  return __builtin_bit_cast(float, exponent << 23);
}

// Rows' exponents for f16: its low part would be subnormal, and lost, where xA is far from 1.
template <class Arch>
CHORUS_DEVICE void FindExponents(Arch& arch, const F2 (&values)[kMaxRankPairs / kLoraWarps][4],
                                 uint32_t (&exponents)[2]) {
  const auto maxima = Shared<float>(arch, kExpandMaximaOffset, kLoraWarps * kPieceRows);
  CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
    float largest = 0.0f;
    CHORUS_UNROLL for (int h = 0; h < kMaxRankPairs / kLoraWarps; ++h) {
      CHORUS_UNROLL for (int i = half; i < 4; i += 2) {
        largest = Max(largest, Max(Max(values[h][i].x, -values[h][i].x),
                                   Max(values[h][i].y, -values[h][i].y)));
      }
    }
    largest = Max(largest, arch.ShflXor(largest, 1));
    largest = Max(largest, arch.ShflXor(largest, 2));
    if (arch.Lane() % 4 == 0) {
      maxima.Store(arch.Warp() * kPieceRows + arch.Lane() / 4 + 8 * half, largest);
    }
  }
  arch.Sync();
  CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
    float largest = 0.0f;
    CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
      largest = Max(largest, maxima.Load(w * kPieceRows + arch.Lane() / 4 + 8 * half));
    }
    exponents[half] = ExponentOf(largest);
  }
}

// Lays out xA of the item's piece and module in shared memory.
template <class T, class Arch>
CHORUS_DEVICE void FillFragments(Arch& arch, const LoraExpandParams& params, const LoraItem& item) {
  constexpr int kTurns = kMaxRankPairs / kLoraWarps;
  const auto high = Shared<uint32_t>(arch, 0, kFragmentWords);
  const auto low = Shared<uint32_t>(arch, kExpandLowOffset, kFragmentWords);
  const auto factors = Shared<float>(arch, kExpandFactorOffset, kPieceRows);
  const int32_t pairs = DivideUp<int32_t>(item.rank_blocks, 2);
  F2 values[kTurns][4];
  CHORUS_UNROLL for (int h = 0; h < kTurns; ++h) {
    CHORUS_UNROLL for (int i = 0; i < 4; ++i) values[h][i] = F2{0.0f, 0.0f};
    const int32_t pair = h * kLoraWarps + arch.Warp();
    if (pair < pairs) AddPlanes(arch, params, item, pair, values[h]);
  }
  uint32_t exponents[2] = {127, 127};
  // Behind either Sync the fragments of the piece before are no longer read.
  if constexpr (std::is_same_v<T, F16>) {
    FindExponents(arch, values, exponents);
  } else {
    arch.Sync();
  }
  CHORUS_UNROLL for (int h = 0; h < kTurns; ++h) {
    const int32_t pair = h * kLoraWarps + arch.Warp();
    if (pair < pairs) {
      uint32_t rounded[4];
      uint32_t rest[4];
      CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
        const float power = PowerOfTwo(254 - exponents[i % 2]);
        const F2 value{values[h][i].x * power, values[h][i].y * power};
        rounded[i] = arch.Pack(T{}, value.x, value.y);
        const F2 back = arch.Unpack(T{}, rounded[i]);
        rest[i] = arch.Pack(T{}, value.x - back.x, value.y - back.y);
      }
      const int at = (pair * kWarpThreads + arch.Lane()) * 4;
      high.StoreFrom(U4{rounded[0], rounded[1], rounded[2], rounded[3]}, at);
      low.StoreFrom(U4{rest[0], rest[1], rest[2], rest[3]}, at);
    }
  }
  if (arch.Warp() == 0 && arch.Lane() % 4 == 0) {
    CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
      factors.Store(arch.Lane() / 4 + 8 * half, item.scale * PowerOfTwo(exponents[half]));
    }
  }
  arch.Sync();
}

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
template <class T, class Arch>
CHORUS_DEVICE void LoadBias(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                            int32_t column, float (&bias)[8]) {
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

template <class T, class Out, class Arch>
CHORUS_DEVICE void StoreBlock(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                              int32_t block, const float (&sums)[4][4]) {
  const int32_t column = block * kTileWidth + arch.Lane() % 4 * 8;
  if (!arch.Guard(column < params.y_width[item.site_module])) return;
  float bias[8];
  LoadBias<T>(arch, params, item, column, bias);
  const auto factors = Shared<float>(arch, kExpandFactorOffset, kPieceRows);
  const auto delta = arch.Global(static_cast<Out*>(params.delta),
                                 int64_t{params.planes.rows} * params.delta_stride);
  CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
    const int32_t row = arch.Lane() / 4 + 8 * half;
    if (arch.Guard(row < item.rows)) {
      const float factor = factors.Load(row);
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

CHORUS_DEVICE void Clear(float (&sums)[4][4]) {
  CHORUS_UNROLL for (int b = 0; b < 4; ++b) {
    CHORUS_UNROLL for (int e = 0; e < 4; ++e) sums[b][e] = 0.0f;
  }
}

// A warp's blocks of 32 outputs of an item.
struct Blocks {
  int32_t first;
  int32_t count;
};
template <class Arch>
CHORUS_DEVICE Blocks BlocksOf(Arch& arch, const LoraItem& item) {
  const int32_t first = item.first_block + (arch.Warp() << item.blocks_log);
  return {first, Max(0, Min(1 << item.blocks_log, item.end_block - first))};
}

// kWarpTiles at a time: all the warp's blocks at once, or the ranks of its one block in turns.
CHORUS_HOST_DEVICE TileRuns RunsOf(const LoraItem& item, const Blocks& blocks, int32_t turn) {
  const int32_t done = turn * kWarpTiles;
  return {item.first_tile + (blocks.first - item.first_block) * item.rank_blocks + done,
          Max(0, Min<int32_t>(kWarpTiles, blocks.count * item.rank_blocks - done)), 1, 0};
}

template <class T, class Out, class Arch, class Feeder>
CHORUS_DEVICE void RunTurn(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                           const Blocks& blocks, int32_t turn, const Feeder& feed, int32_t from,
                           float (&sums)[4][4]) {
  if (item.rank_blocks > kWarpTiles) {
    if (blocks.count == 0) return;
    if (turn == 0) Clear(sums);
    const int32_t done = turn * kWarpTiles;
    AddBlock<T>(arch, feed, from, 0, Min<int32_t>(kWarpTiles, item.rank_blocks - done), done / 2,
                sums);
    if (turn + 1 == item.turns) StoreBlock<T, Out>(arch, params, item, blocks.first, sums);
    return;
  }
  CHORUS_NO_UNROLL for (int32_t b = 0; b < blocks.count; ++b) {
    Clear(sums);
    AddBlock<T>(arch, feed, from, b * item.rank_blocks, item.rank_blocks, 0, sums);
    StoreBlock<T, Out>(arch, params, item, blocks.first + b, sums);
  }
}

template <Feed kFeed, class T, class Out, class Arch>
CHORUS_DEVICE void LoraExpandBody(Arch& arch, const LoraExpandParams& params) {
  // Items that follow one another: few pieces, and so few times their xA.
  const int64_t count = arch.Global(params.work.count, 1).Load(0);
  const auto begin = static_cast<int32_t>(count * arch.Block() / arch.Grid());
  const auto end = static_cast<int32_t>(count * (arch.Block() + 1) / arch.Grid());
  if (begin == end) {
    arch.WaitForPrior();
    return;
  }
  LoraItem next = LoadItem(arch, params.work, begin);
  WarpFeed<Arch, kFeed> feed(arch, params.work, kExpandFeedOffset);
  feed.Ask(next, RunsOf(next, BlocksOf(arch, next), 0));
  arch.WaitForPrior();  // adapters do not come from it, but the planes do
  arch.LetNextBegin();
  int32_t filled_row = -1;  // whose xA lies in shared memory
  int32_t filled_module = 0;
  CHORUS_NO_UNROLL for (int32_t i = begin; i < end; ++i) {
    const LoraItem item = next;
    const bool is_last = i + 1 == end;
    if (!is_last) next = LoadItem(arch, params.work, i + 1);
    if (item.first_row != filled_row || item.site_module != filled_module) {
      FillFragments<T>(arch, params, item);
      filled_row = item.first_row;
      filled_module = item.site_module;
    }
    const Blocks blocks = BlocksOf(arch, item);
    float sums[4][4];
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < item.turns; ++turn) {
      if (turn + 1 < item.turns) {
        feed.Ask(item, RunsOf(item, blocks, turn + 1));
      } else if (!is_last) {
        feed.Ask(next, RunsOf(next, BlocksOf(arch, next), 0));
      }
      RunTurn<T, Out>(arch, params, item, blocks, turn, feed, feed.Wait(), sums);
    }
  }
}

}  // namespace

CHORUS_KERNEL(kLoraExpandBf16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, Bf16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandF16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, F16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandBf16Bf16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, Bf16, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraExpandF16F16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, F16, F16>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesBf16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, Bf16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesF16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, F16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesBf16Bf16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, Bf16, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesF16F16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, F16, F16>(arch, params)))

}  // namespace chorus::kernels
