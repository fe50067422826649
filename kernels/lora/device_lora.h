// How LoRA looks to kernels on a device: adapters in tables that a step only reads, the rows of the
// step that have one, and the delta that a site's expand leaves for the kernel that reads next.
#ifndef CHORUS_KERNELS_LORA_DEVICE_LORA_H_
#define CHORUS_KERNELS_LORA_DEVICE_LORA_H_

#include <cstdint>

#include "kernels/device/device_code.h"
#include "kernels/device/floats.h"
#include "kernels/lora/slots.h"

namespace chorus::kernels {

// All pointers are the device's.
struct LoraDeviceTable {
  const LoraModuleEntry* entries = nullptr;  // [max_slots, layers · kNumLoraModules]
  const int32_t* ids = nullptr;              // [max_slots, ids_stride] page ids, ascending
  const int32_t* num_ids = nullptr;          // [max_slots]; 0: the slot is empty
  int32_t max_slots = 0;
  int32_t layers = 0;
  int32_t ids_stride = 0;

  CHORUS_HOST_DEVICE int64_t EntryIndex(int32_t slot, int32_t layer, int32_t module) const {
    return (int64_t{slot} * layers + layer) * kNumLoraModules + module;
  }
  CHORUS_HOST_DEVICE int64_t num_entries() const {
    return int64_t{max_slots} * layers * kNumLoraModules;
  }
};

// The pool as LoRA kernels see it. `base` is the device's.
struct PoolCells {
  static constexpr int kTileBytes = kTileElements * 2;  // the device's types have 16 bits

  const unsigned char* base = nullptr;
  int64_t num_ids = 0;
  int32_t num_slabs = 0;
  int32_t tiles_per_cell = 0;

  CHORUS_HOST_DEVICE int64_t cell_bytes() const { return int64_t{tiles_per_cell} * kTileBytes; }
  CHORUS_HOST_DEVICE int64_t total_bytes() const { return num_ids * num_slabs * cell_bytes(); }
};

// Number in the pool of the `cell`-th cell of the lease of `slot`: cells are taken slab by slab,
// ids ascending.
template <class Arch>
CHORUS_DEVICE int64_t CellOf(Arch& arch, const LoraDeviceTable& table, int64_t pool_ids,
                             int32_t slot, int32_t cell) {
  const int32_t num_ids = arch.Global(table.num_ids, table.max_slots).Load(slot);
  const int32_t slab = cell / num_ids;
  const int64_t at = int64_t{slot} * table.ids_stride + (cell - slab * num_ids);
  const int32_t id = arch.Global(table.ids, int64_t{table.max_slots} * table.ids_stride).Load(at);
  return slab * pool_ids + id;
}

// What an expand wrote: scale · (xA · Bᵀ + bias) in the columns of the site's modules, for rows
// with a slot whose module has a rank; everything else is undefined and must not be read.
struct LoraDelta {
  // [rows, stride] f32, or the computation's 16-bit type; null: no row of the batch has an adapter.
  const void* data = nullptr;
  int32_t rows = 0;
  int32_t stride = 0;
  const uint32_t* row_modules = nullptr;  // [rows] from the step's plan: bit m says that the row
                                          // has a delta in the columns of module m
};

// The bits of `row`. REQUIRES: row < delta.rows.
template <class Arch>
CHORUS_DEVICE uint32_t DeltaModules(Arch& arch, const LoraDelta& delta, int row) {
  return delta.data == nullptr ? 0 : arch.Global(delta.row_modules, delta.rows).Load(row);
}
CHORUS_HOST_DEVICE bool HasDelta(uint32_t modules, int module) {
  return (modules >> module & 1) != 0;
}

// Columns [column, column + kCount) of a row that HasDelta, of a delta of type D. REQUIRES: stride
// % kCount == 0.
template <int kCount, class D, class Arch>
CHORUS_DEVICE Floats<kCount> LoadDelta(Arch& arch, const LoraDelta& delta, int row, int column) {
  const auto data =
      arch.Global(static_cast<const D*>(delta.data), int64_t{delta.rows} * delta.stride);
  return LoadFloats<kCount>(arch, D{}, data, int64_t{row} * delta.stride + column);
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_DEVICE_LORA_H_
