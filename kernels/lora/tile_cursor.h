// Walks an adapter's tiles in fill order, from cell to cell.
#ifndef CHORUS_KERNELS_LORA_TILE_CURSOR_H_
#define CHORUS_KERNELS_LORA_TILE_CURSOR_H_

#include <vector>

#include "kernels/lora/tiles.h"

namespace chorus::kernels {

class TileCursor {
 public:
  TileCursor() = default;
  // At `tile`, which need not exist as long as it is not read. `cells` must outlive the cursor.
  TileCursor(const PoolView& pool, const std::vector<int32_t>& cells, int64_t tile)
      : pool_(&pool),
        cells_(&cells),
        tile_bytes_(TileBytes(pool.dtype)),
        tiles_per_cell_(TilesPerCell(pool)),
        cell_(static_cast<size_t>(tile / tiles_per_cell_)),
        in_cell_(tile % tiles_per_cell_) {
    FindCell();
  }

  // REQUIRES: the tile lies in the adapter's cells.
  template <class T>
  const T* Get() const {
    return reinterpret_cast<const T*>(address_ + in_cell_ * tile_bytes_);
  }

  void Advance(int64_t tiles) {
    in_cell_ += tiles;
    if (in_cell_ < tiles_per_cell_) return;
    do {
      in_cell_ -= tiles_per_cell_;
      ++cell_;
    } while (in_cell_ >= tiles_per_cell_);
    FindCell();
  }

 private:
  void FindCell() {
    if (cell_ < cells_->size()) address_ = pool_->CellAddress((*cells_)[cell_]);
  }

  const PoolView* pool_ = nullptr;
  const std::vector<int32_t>* cells_ = nullptr;
  int64_t tile_bytes_ = 0;
  int64_t tiles_per_cell_ = 0;
  size_t cell_ = 0;
  int64_t in_cell_ = 0;
  const std::byte* address_ = nullptr;
};

// Asks for the tiles of the next piece of work while this one computes: cells lie anywhere in the
// pool, and one row per adapter is too little work to hide that the processor cannot guess them.
class TileFetcher {
 public:
  // Asks for nothing.
  TileFetcher() = default;
  TileFetcher(const PoolView& pool, const std::vector<int32_t>& cells, int64_t tile, int64_t tiles)
      : cursor_(pool, cells, tile), left_(tiles), tile_bytes_(TileBytes(pool.dtype)) {}

  // Asks for one more tile.
  void Fetch() {
    if (left_ == 0) return;
    const auto* const tile = cursor_.Get<std::byte>();
    for (int64_t i = 0; i < tile_bytes_; i += 64) __builtin_prefetch(tile + i);
    cursor_.Advance(1);
    --left_;
  }

 private:
  TileCursor cursor_;
  int64_t left_ = 0;
  int64_t tile_bytes_ = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_TILE_CURSOR_H_
