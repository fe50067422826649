// WarpFeed: brings a warp's tiles to shared memory, one turn of an item while the warp works on
// another, across the ends of items. Device code of the shrink and the expand. Warps feed
// themselves, so none waits for another.
#ifndef CHORUS_KERNELS_LORA_WARP_FEED_H_
#define CHORUS_KERNELS_LORA_WARP_FEED_H_

#include "kernels/lora/lora_plan_kernel.h"

namespace chorus::kernels {

// Where a kernel finds its work: one list of the step's.
struct LoraWork {
  LoraDeviceTable table;
  PoolCells pool;
  const LoraItem* items = nullptr;  // [capacity]
  const int32_t* count = nullptr;   // [1]
  int32_t capacity = 0;
};

template <class Arch>
CHORUS_DEVICE LoraItem LoadItem(Arch& arch, const LoraWork& work, int32_t number) {
  constexpr int kWords = LoraItemWords::kCount;
  const auto words =
      arch.Global(reinterpret_cast<const U4*>(work.items), int64_t{work.capacity} * kWords);
  LoraItemWords item;
  CHORUS_UNROLL for (int w = 0; w < kWords; ++w) {
    item.words[w] = words.Load(int64_t{number} * kWords + w);
  }
  return __builtin_bit_cast(LoraItem, item);
}

// The tiles of a warp in one turn: `runs` times `tiles` that follow one another, `stride` apart.
struct TileRuns {
  int32_t first;
  int32_t tiles;
  int32_t runs;  // at most 2
  int32_t stride;
};

// Shared memory of the feeds of all warps, from an offset that is a multiple of 128.
constexpr int32_t kFeedSlots = 2;
constexpr int32_t kFeedSlotBytes = kWarpTiles * PoolCells::kTileBytes;
constexpr int32_t kFeedBytes = kLoraWarps * kFeedSlots * (kFeedSlotBytes + 8);

enum class Feed {
  kBulk,   // bulk copies on mbarriers: compute capability 9.0 and newer
  kLanes,  // a lane copies the 16 bytes of a tile that it alone will read
};

template <class Arch, Feed kFeed>
class WarpFeed {
 public:
  CHORUS_DEVICE WarpFeed(Arch& arch, const LoraWork& work, int32_t offset)
      : arch_(arch), work_(work), offset_(offset) {
    if constexpr (kFeed == Feed::kBulk) {
      if (arch_.Lane() == 0) {
        CHORUS_UNROLL for (int s = 0; s < kFeedSlots; ++s) arch_.BarInit(Barriers(), Slot(s), 1);
        arch_.BarFence();
      }
    }
  }

  // Whether another turn may be asked for, once all that was waited for has been read.
  CHORUS_DEVICE bool HasRoom() const { return asked_ - taken_ < kFeedSlots; }

  // Asks for the tiles of a turn of `item`. At most kFeedSlots turns are under way or in use.
  CHORUS_DEVICE void Ask(const LoraItem& item, const TileRuns& runs) {
    const int32_t slot = Slot(asked_++ % kFeedSlots);
    if constexpr (kFeed == Feed::kBulk) {
      AskBulk(item, runs, slot);
    } else {
      AskLanes(item, runs, slot);
    }
  }

  // Waits for the tiles that were asked for first, and says at which byte of the slots they begin.
  CHORUS_DEVICE int32_t Wait() {
    const int32_t slot = Slot(taken_ % kFeedSlots);
    if constexpr (kFeed == Feed::kBulk) {
      arch_.BarWait(Barriers(), slot, taken_ / kFeedSlots % 2);
    } else if (asked_ - taken_ > 1) {
      arch_.CopyWait(1);
    } else {
      arch_.CopyWait(0);
    }
    ++taken_;
    return slot * kFeedSlotBytes;
  }

  // This lane's 16 bytes of tile `tile` behind byte `from` of the slots.
  CHORUS_DEVICE void Load(U4& to, int32_t from, int32_t tile) const {
    Slots().LoadTo(to, from + tile * PoolCells::kTileBytes + arch_.Lane() * 16);
  }

 private:
  // Lane p of the half warp of a run copies what lies in the p-th cell of the run. Tiles are
  // counted from the item's first cell.
  CHORUS_DEVICE void AskBulk(const LoraItem& item, const TileRuns& runs, int32_t slot) {
    arch_.SyncWarp();  // all have waited for what the slot held, and have read it
    if (arch_.Lane() == 0) {
      arch_.BarArriveExpect(Barriers(), slot, runs.runs * runs.tiles * PoolCells::kTileBytes);
    }
    const int32_t run = arch_.Lane() / 16;
    const int32_t per_cell = work_.pool.tiles_per_cell;
    const int32_t first = item.tile_in_cell + runs.first - item.first_tile + run * runs.stride;
    const int32_t cell = CellAt(first) + arch_.Lane() % 16;
    const int32_t begin = Max(first, cell * per_cell);
    const int32_t tiles = Min((cell + 1) * per_cell, first + runs.tiles) - begin;
    if (run < runs.runs && tiles > 0) {
      const auto pool = arch_.Global(work_.pool.base, work_.pool.total_bytes());
      const int32_t to = run * runs.tiles + begin - first;
      arch_.Bulk(Slots(), slot * kFeedSlotBytes + to * PoolCells::kTileBytes, pool,
                 PageAddress(FindCell(item, cell), work_.pool.cell_bytes(),
                             int64_t{begin - cell * per_cell} * PoolCells::kTileBytes),
                 tiles * PoolCells::kTileBytes, Barriers(), slot);
    }
  }

  CHORUS_DEVICE void AskLanes(const LoraItem& item, const TileRuns& runs, int32_t slot) {
    const auto pool = arch_.Global(work_.pool.base, work_.pool.total_bytes());
    const int32_t per_cell = work_.pool.tiles_per_cell;
    CHORUS_UNROLL for (int q = 0; q < kWarpTiles; ++q) {
      if (q < runs.runs * runs.tiles) {
        const int32_t run = q < runs.tiles ? 0 : 1;
        const int32_t tile =
            item.tile_in_cell + runs.first - item.first_tile + q + run * (runs.stride - runs.tiles);
        const int32_t cell = CellAt(tile);
        arch_.CopyAsync16(
            Slots(), slot * kFeedSlotBytes + q * PoolCells::kTileBytes + arch_.Lane() * 16, pool,
            PageAddress(
                FindCell(item, cell), work_.pool.cell_bytes(),
                int64_t{tile - cell * per_cell} * PoolCells::kTileBytes + arch_.Lane() * 16));
      }
    }
    arch_.CopyCommit();
  }

  CHORUS_DEVICE int32_t Slot(int32_t slot) const { return arch_.Warp() * kFeedSlots + slot; }
  CHORUS_DEVICE auto Slots() const {
    return Shared<unsigned char>(arch_, offset_, kLoraWarps * kFeedSlots * kFeedSlotBytes);
  }
  CHORUS_DEVICE auto Barriers() const {
    return Shared<uint64_t>(arch_, offset_ + kLoraWarps * kFeedSlots * kFeedSlotBytes,
                            kLoraWarps * kFeedSlots);
  }
  // The cell of an item in which its tile `tile` lies. Most are near.
  CHORUS_DEVICE int32_t CellAt(int32_t tile) const {
    const int32_t per_cell = work_.pool.tiles_per_cell;
    if (tile >= 3 * per_cell) return tile / per_cell;
    return (tile >= per_cell ? 1 : 0) + (tile >= 2 * per_cell ? 1 : 0);
  }
  CHORUS_DEVICE int64_t FindCell(const LoraItem& item, int32_t cell) const {
    if (cell == 0) return item.cells[0];
    if (cell == 1) return item.cells[1];
    if (cell == 2) return item.cells[2];
    return CellOf(arch_, work_.table, work_.pool.num_ids, item.slot,
                  item.first_tile / work_.pool.tiles_per_cell + cell);
  }

  Arch& arch_;
  const LoraWork& work_;
  const int32_t offset_;
  int32_t asked_ = 0;
  int32_t taken_ = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_WARP_FEED_H_
