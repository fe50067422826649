#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_image.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/lora/tiles.h"

namespace chorus::engine {

using kernels::kNumLoraModules;
using kernels::LoraModuleEntry;
using kernels::PoolView;

ImageLayout ImageLayout::Make(const AdapterSpec& spec, const ImageTarget& target) {
  CHORUS_CHECK_EQ(target.shard.num_ranks, 1);  // more need the head rule of tensor parallelism
  const ModelConfig& model = target.model;
  ImageLayout layout;
  layout.modules.resize(static_cast<size_t>(model.layers * kNumLoraModules));
  layout.layer_tiles_begin.assign(static_cast<size_t>(model.layers) + 1, 0);
  int64_t tile = 0;
  for (const AdapterModule& module : spec.modules) {
    const ModelConfig::LinearShape shape = model.linear(module.module);
    LoraModuleEntry& entry =
        layout.modules[static_cast<size_t>(module.layer * kNumLoraModules + module.module)];
    entry.rank = std::max(module.rank, target.pad_rank);
    entry.scale = module.scale;
    entry.a_tile = static_cast<int32_t>(tile);
    tile += kernels::MatrixTiles(shape.inputs, entry.rank);
    entry.b_tile = static_cast<int32_t>(tile);
    tile += kernels::MatrixTiles(shape.outputs, entry.rank);
    if (module.bias.has_value()) {
      entry.bias_tile = static_cast<int32_t>(tile);
      tile += kernels::VectorTiles(shape.outputs);
    }
    layout.layer_tiles_begin[static_cast<size_t>(module.layer) + 1] = tile;
  }
  CHORUS_CHECK_LE(tile, std::numeric_limits<int32_t>::max());
  for (size_t layer = 1; layer < layout.layer_tiles_begin.size(); ++layer) {
    // A layer that the adapter leaves alone ends where it begins.
    layout.layer_tiles_begin[layer] =
        std::max(layout.layer_tiles_begin[layer], layout.layer_tiles_begin[layer - 1]);
  }
  layout.num_tiles = tile;
  layout.num_ids = kernels::CeilDiv<int64_t>(
      tile, kernels::TilesPerCell(target.geometry) * target.geometry.num_slabs);
  return layout;
}

std::vector<int32_t> CellsInFillOrder(std::span<const int32_t> ids, int64_t num_cells,
                                      const PoolView& pool) {
  CHORUS_CHECK_LE(num_cells, static_cast<int64_t>(ids.size()) * pool.num_slabs);
  std::vector<int32_t> cells;
  cells.reserve(static_cast<size_t>(num_cells));
  for (int32_t slab = 0; static_cast<int64_t>(cells.size()) < num_cells; ++slab) {
    for (size_t i = 0; i < ids.size() && static_cast<int64_t>(cells.size()) < num_cells; ++i) {
      cells.push_back(static_cast<int32_t>(pool.CellOf(slab, ids[i])));
    }
  }
  return cells;
}

std::span<std::byte> CellRuns::At(int64_t offset, int64_t bytes) const {
  const int64_t cell_bytes = pool_.cell_bytes();
  auto cell = static_cast<size_t>(offset / cell_bytes);
  const int64_t within = offset % cell_bytes;
  CHORUS_CHECK(bytes > 0 && cell < cells_.size());
  std::byte* const begin = pool_.CellAddress(cells_[cell]) + within;
  int64_t run = cell_bytes - within;
  for (; run < bytes && cell + 1 < cells_.size() && cells_[cell + 1] == cells_[cell] + 1; ++cell) {
    run += cell_bytes;
  }
  return {begin, static_cast<size_t>(std::min(run, bytes))};
}

std::string ImageFingerprint(const ImageTarget& target) {
  const ModelConfig& model = target.model;
  const PoolView& geometry = target.geometry;
  std::string text =
      absl::StrCat("image 1; layers ", model.layers, "; slabs ", geometry.num_slabs, "; cell ",
                   geometry.cell_elements(), " ", std::string(kernels::Name(geometry.dtype)));
  absl::StrAppend(&text, "; tile ", kernels::kTileRanks, "x", kernels::kTileWidth,
                  geometry.b_tiles == kernels::BTileOrder::kFragments ? " in fragments" : "",
                  "; rank ", target.shard.rank, " of ", target.shard.num_ranks);
  if (target.pad_rank > 0) absl::StrAppend(&text, "; padded to ", target.pad_rank);
  for (int m = 0; m < kNumLoraModules; ++m) {
    const ModelConfig::LinearShape shape = model.linear(static_cast<kernels::LoraModule>(m));
    absl::StrAppend(&text, "; ", shape.inputs, "x", shape.outputs);
  }
  return text;
}

}  // namespace chorus::engine
