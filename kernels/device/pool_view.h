// How kernels see the unified page pool: `num_slabs` parallel slabs (one per layer) of `num_ids`
// pages each. A page id names one page in every slab; the page of one slab is a cell, and
//   cell = slab * num_ids + id,   address = base + cell * cell_bytes.
// A cell holds either the K and V of kPageTokens tokens of one layer, in HND order
//   [K | V][kv_heads][kPageTokens][head_dim],
// or whole LoRA tiles (kernels/lora/tiles.h). Both have the pool's element type.
#ifndef CHORUS_KERNELS_DEVICE_POOL_VIEW_H_
#define CHORUS_KERNELS_DEVICE_POOL_VIEW_H_

#include <cstddef>
#include <cstdint>

#include "kernels/check.h"
#include "kernels/device/dtype.h"

namespace chorus::kernels {

constexpr int kPageTokens = 16;

// The order of elements in a B tile (kernels/lora/tiles.h): by rank, as the CPU reads it, or that
// of a device's MMA fragments.
enum class BTileOrder : uint8_t { kRankRows, kFragments };

struct PoolView {
  std::byte* base = nullptr;
  int64_t num_ids = 0;
  int32_t num_slabs = 0;
  int32_t kv_heads = 0;  // of this rank
  int32_t head_dim = 0;
  DType dtype = DType::kF32;
  BTileOrder b_tiles = BTileOrder::kRankRows;

  int64_t cell_elements() const { return int64_t{2} * kv_heads * kPageTokens * head_dim; }
  int64_t cell_bytes() const { return cell_elements() * ByteSize(dtype); }
  int64_t total_bytes() const { return num_ids * num_slabs * cell_bytes(); }
  int64_t CellOf(int32_t slab, int32_t id) const { return slab * num_ids + id; }

  // The only place that multiplies by a page stride.
  std::byte* CellAddress(int64_t cell) const {
    CHORUS_DCHECK(cell >= 0 && cell < num_ids * num_slabs);
    return base + cell * cell_bytes();
  }
  // Elements from the start of a KV cell to token 0 of `head`'s K; V lies v_offset() further.
  int64_t k_offset(int32_t head) const { return int64_t{head} * kPageTokens * head_dim; }
  int64_t v_offset() const { return int64_t{kv_heads} * kPageTokens * head_dim; }
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_POOL_VIEW_H_
