// Like the shrink, a warp has the tiles of its present turn and of the next under way. The xA of a
// piece is added up, rounded and laid out once by the whole block, and used for all items of the
// piece and module that follow.
#include <type_traits>

#include "kernels/device/arch.h"
#include "kernels/lora/expand_kernel.h"

namespace chorus::kernels {
namespace {

// kWarpTiles at a time: all blocks of a warp at once, or one block's ranks in several turns.
CHORUS_DEVICE int32_t Turns(const LoraItem& item) {
  return DivideUp<int32_t>(item.rank_blocks, kWarpTiles);
}
// Blocks of 32 outputs of a warp, and its first one.
CHORUS_DEVICE int32_t WarpBlocks(const LoraItem& item) {
  return Max<int32_t>(1, kWarpTiles / item.rank_blocks);
}
template <class Arch>
CHORUS_DEVICE int32_t FirstBlock(Arch& arch, const LoraItem& item) {
  return item.first_block + arch.Warp() * WarpBlocks(item);
}

template <class Arch>
CHORUS_DEVICE auto Ring(Arch& arch) {
  return Shared<unsigned char>(arch, kExpandRingOffset, kExpandRingBytes);
}
template <class Arch>
CHORUS_DEVICE int RingAt(Arch& arch, int slot, int tile) {
  const int warp_slot = arch.Warp() * kExpandRingSlots + slot;
  return (warp_slot * kWarpTiles + tile) * PoolCells::kTileBytes + arch.Lane() * 16;
}

// Begins to copy the tiles of a turn, which follow one another, to ring slot `to`.
template <class Arch>
CHORUS_DEVICE void FetchTiles(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                              int32_t turn, int to) {
  const int32_t first = FirstBlock(arch, item);
  const int32_t blocks = Min<int32_t>(WarpBlocks(item), item.end_block - first);
  const int32_t count = blocks * item.rank_blocks - turn * kWarpTiles;
  const int64_t address =
      TileAddress(arch, params.work, item,
                  item.first_tile + (first - item.first_block) * item.rank_blocks +
                      turn * kWarpTiles + arch.Lane() % kWarpTiles);
  const PoolCells& cells = params.work.pool;
  const auto pool = arch.Global(cells.base, cells.total_bytes());
  const auto ring = Ring(arch);
  CHORUS_UNROLL for (int q = 0; q < kWarpTiles; ++q) {
    const int64_t from = ShflAddress(arch, address, q);
    if (arch.Guard(q < count)) {
      arch.CopyAsync16(ring, RingAt(arch, to, q), pool, from + arch.Lane() * 16);
    }
  }
}

// This lane's eight values of rank pair `pair`: registers 0 … 3 of an A fragment, two in each.
template <class Arch>
CHORUS_DEVICE void AddPlanes(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                             int32_t pair, F2 (&values)[4]) {
  constexpr int kAtOnce = 4;
  const int32_t inputs = params.site.inputs;
  const int32_t fours = item.rank_blocks / 4;
  int32_t group_blocks = 1;
  if (pair < 2 * fours) {
    group_blocks = 4;
  } else if (pair == 2 * fours && (item.rank_blocks & 2) != 0) {
    group_blocks = 2;
  }
  const int32_t num_planes = Planes(inputs, group_blocks, params.turns);
  const auto planes =
      arch.Global(params.planes.data, params.planes.count(MaxPlanes(inputs, params.turns)));
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

// Adds xA · Bᵀ of one block of 32 outputs over `tiles` rank blocks, whose tiles begin at `tile` of
// ring slot `from`, and whose first pair of ranks is `pair`.
template <class T, class Arch>
CHORUS_DEVICE void AddBlock(Arch& arch, int from, int tile, int32_t tiles, int32_t pair,
                            float (&sums)[4][4]) {
  const auto ring = Ring(arch);
  const auto high = Shared<uint32_t>(arch, 0, kFragmentWords);
  const auto low = Shared<uint32_t>(arch, kExpandLowOffset, kFragmentWords);
  CHORUS_NO_UNROLL for (int32_t done = 0; done < tiles; done += 2) {
    U4 h, l, w0;
    const int at = ((pair + done / 2) * kWarpThreads + arch.Lane()) * 4;
    high.LoadTo(h, at);
    low.LoadTo(l, at);
    ring.LoadTo(w0, RingAt(arch, from, tile + done));
    const uint32_t b0[4] = {w0.x, w0.y, w0.z, w0.w};
    if (done + 1 < tiles) {
      U4 w1;
      ring.LoadTo(w1, RingAt(arch, from, tile + done + 1));
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
    const int64_t at =
        TileAddress(arch, params.work, item, item.bias_tile + column / kTileElements);
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
  if (!arch.Guard(column < params.site.y_width[item.site_module])) return;
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
                         params.site.y_column[item.site_module] + column;
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

// One turn's tiles: several blocks whole, or some ranks of one block, which the last turn ends.
template <class T, class Out, class Arch>
CHORUS_DEVICE void RunTurn(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                           int32_t turn, int from, float (&sums)[4][4]) {
  const int32_t first = FirstBlock(arch, item);
  const int32_t end = Min<int32_t>(first + WarpBlocks(item), item.end_block);
  if (item.rank_blocks > kWarpTiles) {
    if (first >= end) return;
    if (turn == 0) Clear(sums);
    const int32_t done = turn * kWarpTiles;
    AddBlock<T>(arch, from, 0, Min<int32_t>(kWarpTiles, item.rank_blocks - done), done / 2, sums);
    if (turn + 1 == Turns(item)) StoreBlock<T, Out>(arch, params, item, first, sums);
    return;
  }
  CHORUS_NO_UNROLL for (int32_t block = first; block < end; ++block) {
    Clear(sums);
    AddBlock<T>(arch, from, (block - first) * item.rank_blocks, item.rank_blocks, 0, sums);
    StoreBlock<T, Out>(arch, params, item, block, sums);
  }
}

template <class T, class Out, class Arch>
CHORUS_DEVICE void LoraExpandBody(Arch& arch, const LoraExpandParams& params) {
  const ItemShare share =
      ShareOf(arch.Global(params.work.count, 1).Load(0), arch.Block(), arch.Grid());
  if (share.begin == share.end) return;
  const auto items = arch.Global(params.work.items, params.work.capacity);

  LoraItem item = items.Load(share.begin);
  LoraItem next = items.Load(Min(share.begin + 1, share.end - 1));
  FetchTiles(arch, params, item, 0, 0);
  arch.CopyCommit();
  int slot = 0;
  int32_t filled_row = -1;  // whose fragments lie in shared memory
  int32_t filled_module = 0;
  CHORUS_NO_UNROLL for (int32_t i = share.begin; i < share.end; ++i) {
    if (item.first_row != filled_row || item.site_module != filled_module) {
      FillFragments<T>(arch, params, item);
      filled_row = item.first_row;
      filled_module = item.site_module;
    }
    float sums[4][4];
    const int32_t turns = Turns(item);
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < turns; ++turn) {
      if (turn + 1 < turns) {
        FetchTiles(arch, params, item, turn + 1, 1 - slot);
      } else if (i + 1 < share.end) {
        FetchTiles(arch, params, next, 0, 1 - slot);
      }
      arch.CopyCommit();
      arch.CopyWait(1);
      RunTurn<T, Out>(arch, params, item, turn, slot, sums);
      slot = 1 - slot;
    }
    item = next;
    next = items.Load(Min(i + 2, share.end - 1));
  }
}

}  // namespace

CHORUS_KERNEL(kLoraExpandBf16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Bf16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandF16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<F16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandBf16Bf16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Bf16, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraExpandF16F16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<F16, F16>(arch, params)))

}  // namespace chorus::kernels
