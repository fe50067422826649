// A warp has the tiles of its present turn and of the next under way, across the ends of items; the
// item after the next is being read meanwhile. Fragments: kernels/DESIGN.md.
#include "kernels/device/arch.h"
#include "kernels/lora/shrink_kernel.h"

namespace chorus::kernels {
namespace {

// The tiles of a warp: kShrinkRingSlots times kWarpTiles, in each the 16 bytes of every lane.
template <class Arch>
CHORUS_DEVICE auto Ring(Arch& arch) {
  return Shared<unsigned char>(arch, kShrinkRingOffset, kShrinkRingBytes);
}
template <class Arch>
CHORUS_DEVICE int RingAt(Arch& arch, int slot, int tile) {
  const int warp_slot = arch.Warp() * kShrinkRingSlots + slot;
  return (warp_slot * kWarpTiles + tile) * PoolCells::kTileBytes + arch.Lane() * 16;
}

// Blocks of 32 inputs that a warp has in one turn, and its first one in the item.
CHORUS_DEVICE int32_t TurnBlocks(const LoraItem& item) { return kWarpTiles / item.blocks; }
template <class Arch>
CHORUS_DEVICE int32_t FirstBlock(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                                 int32_t turn) {
  return item.first_block + (arch.Warp() * params.turns + turn) * TurnBlocks(item);
}

// Where tile lane % kWarpTiles of the warp's turn lies: block by block, the group's ranks side by
// side.
template <class Arch>
CHORUS_DEVICE int64_t AddressOf(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                                int32_t turn) {
  const int32_t mine = arch.Lane() % kWarpTiles;
  const int32_t block =
      FirstBlock(arch, params, item, turn) - item.first_block + mine / item.blocks;
  return TileAddress(arch, params.work, item,
                     item.first_tile + block * item.rank_blocks + mine % item.blocks);
}

// Begins to copy a turn's tiles to ring slot `to`. A lane copies the 16 bytes of a tile that it
// alone will read, so its own wait is all the order there has to be.
template <class Arch>
CHORUS_DEVICE void FetchTiles(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                              int32_t turn, int64_t address, int to) {
  const int32_t count = (item.end_block - FirstBlock(arch, params, item, turn)) * item.blocks;
  const PoolCells& cells = params.work.pool;
  const auto pool = arch.Global(cells.base, cells.total_bytes());
  const auto ring = Ring(arch);
  CHORUS_UNROLL for (int q = 0; q < kWarpTiles; ++q) {
    const int64_t from = ShflAddress(arch, address, q);
    if (q < count) {  // B lies behind A: what is spared here is the reading
      arch.CopyAsync16(ring, RingAt(arch, to, q), pool, from + arch.Lane() * 16);
    }
  }
}

// Adds x · Aᵀ over the tiles of ring slot `from`: kBlocks rank blocks of each of
// kWarpTiles / kBlocks blocks of inputs from `first` on. Lane 4g + t has inputs 8t … 8t + 7 of rank
// g of a tile, and reads the same of rows g and g + 8 of x: the order of K inside an MMA is free.
template <int kBlocks, class T, class Arch>
CHORUS_DEVICE void Multiply(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                            int32_t first, int from, float (&sums)[4][4]) {
  const int row = arch.Lane() / 4;
  const int column = arch.Lane() % 4 * 8;
  const auto x = arch.Global(static_cast<const T*>(params.x),
                             int64_t{params.planes.rows - 1} * params.x_stride + params.inputs);
  const auto ring = Ring(arch);
  const int64_t low = int64_t{item.first_row + row} * params.x_stride;
  const int64_t high = low + int64_t{8} * params.x_stride;
  const bool has_low = row < item.rows;
  const bool has_high = row + 8 < item.rows;
  CHORUS_UNROLL for (int j = 0; j < kWarpTiles / kBlocks; ++j) {
    if (first + j < item.end_block) {
      const int32_t k = (first + j) * kTileWidth + column;
      const bool inside = k < params.inputs;
      U4 u{0, 0, 0, 0};
      U4 v{0, 0, 0, 0};
      if (arch.Guard(has_low && inside)) x.LoadTo(u, low + k);
      if (arch.Guard(has_high && inside)) x.LoadTo(v, high + k);
      CHORUS_UNROLL for (int n = 0; n < kBlocks; ++n) {
        U4 w;
        ring.LoadTo(w, RingAt(arch, from, j * kBlocks + n));
        arch.Mma16816(T{}, sums[n], u.x, v.x, u.y, v.y, w.x, w.y);
        arch.Mma16816(T{}, sums[n], u.z, v.z, u.w, v.w, w.z, w.w);
      }
    }
  }
}

template <class T, class Arch>
CHORUS_DEVICE void MultiplyGroup(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                                 int32_t first, int from, float (&sums)[4][4]) {
  if (item.blocks == 4) {
    Multiply<4, T>(arch, params, item, first, from, sums);
  } else if (item.blocks == 2) {
    Multiply<2, T>(arch, params, item, first, from, sums);
  } else {
    Multiply<1, T>(arch, params, item, first, from, sums);
  }
}

// The warps' sums, added in the order of the warps, to the item's plane.
template <class Arch>
CHORUS_DEVICE void StorePlane(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                              int buffer, const float (&sums)[4][4]) {
  constexpr int kRanks = 4 * kTileRanks;
  constexpr int kWarpSums = kPieceRows * kRanks;
  const auto shared = Shared<float>(arch, buffer * kShrinkSums * 4, kShrinkSums);
  const int at = arch.Warp() * kWarpSums + arch.Lane() / 4 * kRanks + arch.Lane() % 4 * 2;
  CHORUS_UNROLL for (int n = 0; n < 4; ++n) {
    if (n < item.blocks) {
      shared.StoreFrom(F2{sums[n][0], sums[n][1]}, at + n * kTileRanks);
      shared.StoreFrom(F2{sums[n][2], sums[n][3]}, at + 8 * kRanks + n * kTileRanks);
    }
  }
  arch.Sync();
  const auto planes =
      arch.Global(params.planes.data, params.planes.count(MaxPlanes(params.inputs, params.turns)));
  const int ranks = item.blocks * kTileRanks;  // a power of two
  CHORUS_NO_UNROLL for (int i = arch.Thread(); i < kPieceRows * ranks; i += kLoraThreads) {
    const int row = i / ranks;
    const int rank = i % ranks;
    float sum = 0.0f;
    CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
      sum += shared.Load(w * kWarpSums + row * kRanks + rank);
    }
    if (arch.Guard(row < item.rows)) {
      planes.Store(params.planes.Index(item.plane, item.first_row + row, item.xa_column + rank),
                   sum);
    }
  }
}

template <class T, class Arch>
CHORUS_DEVICE void LoraShrinkBody(Arch& arch, const LoraShrinkParams& params) {
  const ItemShare share =
      ShareOf(arch.Global(params.work.count, 1).Load(0), arch.Block(), arch.Grid());
  if (share.begin == share.end) return;
  const auto items = arch.Global(params.work.items, params.work.capacity);

  LoraItem item = items.Load(share.begin);
  LoraItem next = items.Load(Min(share.begin + 1, share.end - 1));
  FetchTiles(arch, params, item, 0, AddressOf(arch, params, item, 0), 0);
  arch.CopyCommit();
  int slot = 0;
  CHORUS_NO_UNROLL for (int32_t i = share.begin; i < share.end; ++i) {
    float sums[4][4];
    CHORUS_UNROLL for (int n = 0; n < 4; ++n) {
      CHORUS_UNROLL for (int e = 0; e < 4; ++e) sums[n][e] = 0.0f;
    }
    // In turns of kWarpTiles tiles; the last one fetches the first ones of the next item.
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < params.turns; ++turn) {
      if (turn + 1 < params.turns) {
        FetchTiles(arch, params, item, turn + 1, AddressOf(arch, params, item, turn + 1), 1 - slot);
      } else if (i + 1 < share.end) {
        FetchTiles(arch, params, next, 0, AddressOf(arch, params, next, 0), 1 - slot);
      }
      arch.CopyCommit();
      arch.CopyWait(1);
      MultiplyGroup<T>(arch, params, item, FirstBlock(arch, params, item, turn), slot, sums);
      slot = 1 - slot;
    }
    const LoraItem done = item;
    item = next;
    next = items.Load(Min(i + 2, share.end - 1));
    StorePlane(arch, params, done, (i - share.begin) % 2, sums);
  }
}

}  // namespace

CHORUS_KERNEL(kLoraShrinkBf16, LoraShrinkParams, kLoraThreads, 2,
              LoraShrinkBody<Bf16>(arch, params))
CHORUS_KERNEL(kLoraShrinkF16, LoraShrinkParams, kLoraThreads, 2, LoraShrinkBody<F16>(arch, params))

}  // namespace chorus::kernels
