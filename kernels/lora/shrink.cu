// A warp has the tiles of one item and those of the next under way: the next ones are asked for
// before the present ones are used, across the ends of items. Fragments: kernels/DESIGN.md.
#include "kernels/device/arch.h"
#include "kernels/lora/shrink_kernel.h"

namespace chorus::kernels {
namespace {

// What a warp does of an item. Two of them live at a time: no more than what is needed.
struct ShrinkItem {
  int32_t slot = 0;
  int32_t first_row = 0;
  int32_t rows = 0;
  int32_t rank_blocks = 0;  // of the module
  int32_t blocks = 0;       // rank blocks of the group: 4, 2 or 1
  int32_t first_tile = 0;   // of the group's ranks at first_block
  int32_t first_block = 0;  // of 32 inputs, of this warp
  int32_t end_block = 0;
  int32_t column = 0;  // of the group's rank 0 in the planes
  int32_t plane = 0;
};

template <class Arch>
CHORUS_DEVICE ShrinkItem FindItem(Arch& arch, const LoraShrinkParams& params, int32_t segments,
                                  int32_t number) {
  const LoraSiteShape& site = params.site;
  const LoraPiece piece =
      FindPiece(arch, params.step, site, params.layer,
                params.step.ItemBeginIndex(params.layer, params.site_index, false), segments,
                number, [&](const LoraModuleEntry& entry, int32_t) {
                  return ShrinkItems(site.inputs, entry.rank, params.turns);
                });
  // The groups of 4 have the most planes and come first.
  ShrinkItem item;
  item.rank_blocks = RankBlocks(piece.entry.rank);
  item.plane = piece.index;
  int32_t group = item.rank_blocks / 4;
  const int32_t of_four = Planes(site.inputs, 4, params.turns);
  if (item.plane < group * of_four) {
    group = item.plane / of_four;
    item.plane -= group * of_four;
  } else {
    item.plane -= group * of_four;
    const int32_t of_two = Planes(site.inputs, 2, params.turns);
    if ((item.rank_blocks & 2) != 0 && item.plane >= of_two) {
      item.plane -= of_two;
      ++group;
    }
  }
  const RankGroup ranks = GroupAt(item.rank_blocks, group);
  const int32_t plane_blocks = PlaneBlocks(ranks.blocks, params.turns);
  const int32_t warp_blocks = plane_blocks / kLoraWarps;
  const int32_t end = Min((item.plane + 1) * plane_blocks, WidthBlocks(site.inputs));
  item.slot = piece.slot;
  item.first_row = piece.first_row;
  item.rows = piece.rows;
  item.blocks = ranks.blocks;
  item.first_block = Min(item.plane * plane_blocks + arch.Warp() * warp_blocks, end);
  item.end_block = Min(item.first_block + warp_blocks, end);
  item.first_tile = piece.entry.a_tile + item.first_block * item.rank_blocks + ranks.first_block;
  item.column = piece.xa_column + ranks.first_block * kTileRanks;
  return item;
}

// The tiles of a warp: kRingSlots times kWarpTiles, in each the 16 bytes of every lane.
template <class Arch>
CHORUS_DEVICE auto Ring(Arch& arch) {
  return Shared<unsigned char>(arch, kShrinkRingOffset, kShrinkRingBytes);
}
template <class Arch>
CHORUS_DEVICE int RingAt(Arch& arch, int slot, int tile) {
  const int warp_slot = arch.Warp() * kShrinkRingSlots + slot;
  return (warp_slot * kWarpTiles + tile) * PoolCells::kDeviceTileBytes + arch.Lane() * 16;
}

// Begins to copy the tiles of the item's blocks from `skip` on, kWarpTiles at most, to ring slot
// `to`: block by block, the group's ranks side by side. A lane copies the 16 bytes of a tile that
// it alone will read, so its own wait is all the order there has to be.
template <class Arch>
CHORUS_DEVICE void FetchTiles(Arch& arch, const LoraShrinkParams& params, const ShrinkItem& item,
                              int32_t skip, int to) {
  const int lane = arch.Lane();
  const int32_t count = (item.end_block - item.first_block - skip) * item.blocks;
  const int32_t mine = lane % kWarpTiles;
  const int32_t tile =
      item.first_tile + (skip + mine / item.blocks) * item.rank_blocks + mine % item.blocks;
  const int64_t address = TileAddress(arch, params.step.table, params.pool, item.slot, tile);
  const auto pool = arch.Global(params.pool.base, params.pool.total_bytes());
  const auto ring = Ring(arch);
  CHORUS_UNROLL for (int q = 0; q < kWarpTiles; ++q) {
    const int64_t from = ShflAddress(arch, address, q);
    if (q < count) {  // B lies behind A: what is spared here is the reading
      arch.CopyAsync16(ring, RingAt(arch, to, q), pool, from + lane * 16);
    }
  }
}

// Adds x · Aᵀ over the tiles of ring slot `from`: kBlocks rank blocks of each of
// kWarpTiles / kBlocks blocks of inputs from `first` on. Lane 4g + t has inputs 8t … 8t + 7 of rank
// g of a tile, and reads the same of rows g and g + 8 of x: the order of K inside an MMA is free.
template <int kBlocks, class T, class Arch>
CHORUS_DEVICE void Multiply(Arch& arch, const LoraShrinkParams& params, const ShrinkItem& item,
                            int32_t first, int from, float (&sums)[4][4]) {
  const int row = arch.Lane() / 4;
  const int column = arch.Lane() % 4 * 8;
  const auto x =
      arch.Global(static_cast<const T*>(params.x),
                  int64_t{params.planes.rows - 1} * params.x_stride + params.site.inputs);
  const auto ring = Ring(arch);
  const int64_t low = int64_t{item.first_row + row} * params.x_stride;
  const int64_t high = low + int64_t{8} * params.x_stride;
  const bool has_low = row < item.rows;
  const bool has_high = row + 8 < item.rows;
  CHORUS_UNROLL for (int j = 0; j < kWarpTiles / kBlocks; ++j) {
    if (first + j < item.end_block) {
      const int32_t k = (first + j) * kTileWidth + column;
      const bool inside = k < params.site.inputs;
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
CHORUS_DEVICE void MultiplyGroup(Arch& arch, const LoraShrinkParams& params, const ShrinkItem& item,
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
CHORUS_DEVICE void StorePlane(Arch& arch, const LoraShrinkParams& params, const ShrinkItem& item,
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
  const auto planes = arch.Global(params.planes.data,
                                  params.planes.count(MaxPlanes(params.site.inputs, params.turns)));
  const int ranks = item.blocks * kTileRanks;  // a power of two
  CHORUS_NO_UNROLL for (int i = arch.Thread(); i < kPieceRows * ranks; i += kLoraThreads) {
    const int row = i / ranks;
    const int rank = i % ranks;
    float sum = 0.0f;
    CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
      sum += shared.Load(w * kWarpSums + row * kRanks + rank);
    }
    if (arch.Guard(row < item.rows)) {
      planes.Store(params.planes.Index(item.plane, item.first_row + row, item.column + rank), sum);
    }
  }
}

template <class T, class Arch>
CHORUS_DEVICE void LoraShrinkBody(Arch& arch, const LoraShrinkParams& params) {
  const int32_t segments = arch.Global(params.step.num_segments, 1).Load(0);
  const auto begins = arch.Global(params.step.item_begin, params.step.num_item_begins());
  const int32_t items =
      begins.Load(params.step.ItemBeginIndex(params.layer, params.site_index, false) + segments);
  const ItemShare share = ShareOf(items, arch.Block(), arch.Grid());
  if (share.begin == share.end) return;

  ShrinkItem next = FindItem(arch, params, segments, share.begin);
  int slot = 0;
  FetchTiles(arch, params, next, 0, slot);
  arch.CopyCommit();
  CHORUS_NO_UNROLL for (int32_t i = share.begin; i < share.end; ++i) {
    const ShrinkItem item = next;
    float sums[4][4];
    CHORUS_UNROLL for (int n = 0; n < 4; ++n) {
      CHORUS_UNROLL for (int e = 0; e < 4; ++e) sums[n][e] = 0.0f;
    }
    const bool has_next = i + 1 < share.end;
    if (has_next) next = FindItem(arch, params, segments, i + 1);
    // `turns` times kWarpTiles tiles; the last turn fetches the first ones of the next item.
    const int32_t step = kWarpTiles / item.blocks;
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < params.turns; ++turn) {
      const int32_t skip = turn * step;
      if (turn + 1 < params.turns) {
        FetchTiles(arch, params, item, skip + step, 1 - slot);
      } else if (has_next) {
        FetchTiles(arch, params, next, 0, 1 - slot);
      }
      arch.CopyCommit();
      arch.CopyWait(1);
      MultiplyGroup<T>(arch, params, item, item.first_block + skip, slot, sums);
      slot = 1 - slot;
    }
    StorePlane(arch, params, item, (i - share.begin) % 2, sums);
  }
}

}  // namespace

CHORUS_KERNEL(kLoraShrinkBf16, LoraShrinkParams, kLoraThreads, 2,
              LoraShrinkBody<Bf16>(arch, params))
CHORUS_KERNEL(kLoraShrinkF16, LoraShrinkParams, kLoraThreads, 2, LoraShrinkBody<F16>(arch, params))

}  // namespace chorus::kernels
