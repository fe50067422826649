// What the shrink and the expand kernels share: a block's share of the items, the segment an item
// belongs to, and where a tile lies. Device code.
#ifndef CHORUS_KERNELS_LORA_LORA_WALK_H_
#define CHORUS_KERNELS_LORA_LORA_WALK_H_

#include "kernels/lora/lora_plan_kernel.h"

namespace chorus::kernels {

// The pool as kernels see it. `base` is the device's.
struct PoolCells {
  const unsigned char* base = nullptr;
  int64_t num_ids = 0;
  int32_t num_slabs = 0;
  int32_t tiles_per_cell = 0;

  CHORUS_HOST_DEVICE int64_t cell_bytes() const {
    return int64_t{tiles_per_cell} * kDeviceTileBytes;
  }
  CHORUS_HOST_DEVICE int64_t total_bytes() const { return num_ids * num_slabs * cell_bytes(); }

  static constexpr int kDeviceTileBytes = kTileElements * 2;  // the device's types have 16 bits
};

// Items [begin, end) of block `block`: equal shares in order, so that a block stays within few
// adapters and reads their tiles as one run.
struct ItemShare {
  int32_t begin;
  int32_t end;
};
CHORUS_HOST_DEVICE ItemShare ShareOf(int32_t items, int32_t block, int32_t blocks) {
  return {static_cast<int32_t>(int64_t{items} * block / blocks),
          static_cast<int32_t>(int64_t{items} * (block + 1) / blocks)};
}

// The segment that `item` belongs to: the last whose first item is not behind it.
template <class Begins>
CHORUS_DEVICE int32_t SegmentOf(const Begins& begins, int64_t first, int32_t count, int32_t item) {
  int32_t low = 0;
  int32_t high = count;  // begins[low] <= item < begins[high]
  CHORUS_NO_UNROLL while (high - low > 1) {
    const int32_t middle = (low + high) / 2;
    if (begins.Load(first + middle) <= item) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// A piece of a segment at one module, and what is left of the item's number within it.
struct LoraPiece {
  int32_t slot = 0;
  int32_t first_row = 0;
  int32_t rows = 0;  // at most kPieceRows
  int32_t site_module = 0;
  LoraModuleEntry entry;
  int32_t xa_column = 0;  // of the module's rank 0
  int32_t index = 0;      // of the item among the module's
};

// REQUIRES: `item` is among the step's items of the layer and site. `items_of(entry, m)` is the
// number of items of one piece and module.
template <class Arch, class ItemsOf>
CHORUS_DEVICE LoraPiece FindPiece(Arch& arch, const LoraStep& step, const LoraSiteShape& site,
                                  int32_t layer, int64_t first_begin, int32_t num_segments,
                                  int32_t item, const ItemsOf& items_of) {
  const auto begins = arch.Global(step.item_begin, step.num_item_begins());
  const auto entries = arch.Global(step.table.entries, step.table.num_entries());
  const int32_t s = SegmentOf(begins, first_begin, num_segments, item);
  const LoraSegment segment = arch.Global(step.segments, step.max_segments).Load(s);
  LoraPiece piece;
  piece.slot = segment.slot;
  LoraModuleEntry found[kMaxSiteModules];
  int32_t of_piece = 0;
  CHORUS_UNROLL for (int32_t m = 0; m < kMaxSiteModules; ++m) {
    if (m < site.num_modules) {
      found[m] = entries.Load(step.table.EntryIndex(segment.slot, layer, site.modules[m]));
      of_piece += items_of(found[m], m);
    }
  }
  const int32_t local = item - begins.Load(first_begin + s);
  const int32_t which = local / of_piece;
  piece.first_row = segment.first_row + which * kPieceRows;
  piece.rows = Min<int32_t>(kPieceRows, segment.num_rows - which * kPieceRows);
  piece.index = local - which * of_piece;
  bool placed = false;
  CHORUS_UNROLL for (int32_t m = 0; m < kMaxSiteModules; ++m) {
    if (!placed && m < site.num_modules) {
      const int32_t items = items_of(found[m], m);
      if (piece.index < items) {
        piece.site_module = m;
        piece.entry = found[m];
        placed = true;
      } else {
        piece.index -= items;
        piece.xa_column += RankBlocks(found[m].rank) * kTileRanks;
      }
    }
  }
  return piece;
}

// Byte of the pool where `tile` of the adapter in `slot` begins: the cells of a lease are taken
// slab by slab, ids ascending.
template <class Arch>
CHORUS_DEVICE int64_t TileAddress(Arch& arch, const LoraDeviceTable& table, const PoolCells& pool,
                                  int32_t slot, int32_t tile) {
  const int32_t num_ids = arch.Global(table.num_ids, table.max_slots).Load(slot);
  const int32_t cell = tile / pool.tiles_per_cell;
  const int32_t slab = cell / num_ids;
  const int64_t at = int64_t{slot} * table.ids_stride + (cell - slab * num_ids);
  const int32_t id = arch.Global(table.ids, int64_t{table.max_slots} * table.ids_stride).Load(at);
  return PageAddress(slab * pool.num_ids + id, pool.cell_bytes(),
                     int64_t{tile - cell * pool.tiles_per_cell} * PoolCells::kDeviceTileBytes);
}

// The addresses of up to kWarpTiles tiles: lane q finds that of tile q, so that divisions and table
// reads happen once and side by side; all lanes get them by shuffles.
template <class Arch>
CHORUS_DEVICE int64_t ShflAddress(Arch& arch, int64_t address, int lane) {
  const auto bits = static_cast<uint64_t>(address);
  const uint64_t low = arch.Shfl(static_cast<uint32_t>(bits), lane);
  const uint64_t high = arch.Shfl(static_cast<uint32_t>(bits >> 32), lane);
  return static_cast<int64_t>(high << 32 | low);
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_WALK_H_
