// What the shrink and the expand kernels share: a block's share of a list, and where tiles lie.
#ifndef CHORUS_KERNELS_LORA_LORA_WALK_H_
#define CHORUS_KERNELS_LORA_LORA_WALK_H_

#include "kernels/lora/lora_plan_kernel.h"

namespace chorus::kernels {

// The pool as kernels see it. `base` is the device's.
struct PoolCells {
  static constexpr int kTileBytes = kTileElements * 2;  // the device's types have 16 bits

  const unsigned char* base = nullptr;
  int64_t num_ids = 0;
  int32_t num_slabs = 0;
  int32_t tiles_per_cell = 0;

  CHORUS_HOST_DEVICE int64_t cell_bytes() const { return int64_t{tiles_per_cell} * kTileBytes; }
  CHORUS_HOST_DEVICE int64_t total_bytes() const { return num_ids * num_slabs * cell_bytes(); }
};

// Where a kernel finds its work: one list of the step's.
struct LoraWork {
  LoraDeviceTable table;
  PoolCells pool;
  const LoraItem* items = nullptr;  // [capacity]
  const int32_t* count = nullptr;   // [1]
  int32_t capacity = 0;
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

// Byte of the pool where `tile` of the item's adapter begins: the cells of a lease are taken slab
// by slab, ids ascending.
template <class Arch>
CHORUS_DEVICE int64_t TileAddress(Arch& arch, const LoraWork& work, const LoraItem& item,
                                  int32_t tile) {
  const LoraDeviceTable& table = work.table;
  const PoolCells& pool = work.pool;
  const int32_t cell = tile / pool.tiles_per_cell;
  const int32_t slab = cell / item.num_ids;
  const int64_t at = int64_t{item.slot} * table.ids_stride + (cell - slab * item.num_ids);
  const int32_t id = arch.Global(table.ids, int64_t{table.max_slots} * table.ids_stride).Load(at);
  return PageAddress(slab * pool.num_ids + id, pool.cell_bytes(),
                     int64_t{tile - cell * pool.tiles_per_cell} * PoolCells::kTileBytes);
}

// `address` of `lane`, for all. Lane q of a warp finds the address of tile q, so that divisions and
// table reads happen once and side by side.
template <class Arch>
CHORUS_DEVICE int64_t ShflAddress(Arch& arch, int64_t address, int lane) {
  const auto bits = static_cast<uint64_t>(address);
  const uint64_t low = arch.Shfl(static_cast<uint32_t>(bits), lane);
  const uint64_t high = arch.Shfl(static_cast<uint32_t>(bits >> 32), lane);
  return static_cast<int64_t>(high << 32 | low);
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_WALK_H_
