// LoRA adapters over all layers of a model, with counter-hash weights: as values for the reference,
// and as tiles in a test pool's cells (kernels/lora/tiles.h).
#ifndef CHORUS_TESTS_SUPPORT_POOL_ADAPTER_H_
#define CHORUS_TESTS_SUPPORT_POOL_ADAPTER_H_

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/model/model_config.h"
#include "kernels/lora/slots.h"
#include "tests/support/counter_hash.h"
#include "tests/support/test_pool.h"

namespace chorus::test {

struct AdapterModule {
  int rank = 0;
  float scale = 1.0f;
  int64_t inputs = 0;
  int64_t outputs = 0;
  std::vector<float> a;     // [rank, inputs], exact in bf16
  std::vector<float> b;     // [outputs, rank]
  std::vector<float> bias;  // [outputs] or empty
};

class PoolAdapter {
 public:
  // rank(layer, module), 0 for a module that is left alone; every third module has a bias.
  template <class Rank>
  PoolAdapter(const engine::ModelConfig& config, uint64_t seed, const Rank& rank)
      : layers_(config.layers) {
    for (int layer = 0; layer < layers_; ++layer) {
      for (int module = 0; module < kernels::kNumLoraModules; ++module) {
        const int r = rank(layer, module);
        if (r == 0) continue;
        const auto shape = config.linear(static_cast<kernels::LoraModule>(module));
        const uint64_t s = 1000 * seed + static_cast<uint64_t>(10 * layer + module);
        AdapterModule& m = modules_[{layer, module}];
        m = {r, 16.0f / static_cast<float>(r), shape.inputs, shape.outputs, {}, {}, {}};
        m.a = RoundToBf16(CounterValues(3 * s, r * shape.inputs, 0.25f));
        m.b = RoundToBf16(CounterValues(3 * s + 1, shape.outputs * r, 0.0625f));
        if (s % 3 == 0) m.bias = RoundToBf16(CounterValues(3 * s + 2, shape.outputs, 0.25f));
      }
    }
  }

  // Null when the adapter leaves the module alone.
  const AdapterModule* Find(int layer, int module) const {
    const auto found = modules_.find({layer, module});
    return found == modules_.end() ? nullptr : &found->second;
  }

  int64_t num_ids(const kernels::PoolView& pool) const {
    int64_t tiles = 0;
    for (const auto& [at, m] : modules_) {
      tiles += kernels::MatrixTiles(m.inputs, m.rank) + kernels::MatrixTiles(m.outputs, m.rank);
      if (!m.bias.empty()) tiles += kernels::VectorTiles(m.outputs);
    }
    return kernels::CeilDiv(kernels::CeilDiv(tiles, kernels::TilesPerCell(pool)),
                            int64_t{pool.num_slabs});
  }

  // Writes the tiles into the cells of `ids`, slab by slab.
  std::shared_ptr<const kernels::LoraSlot> Place(TestPool& pool,
                                                 const std::vector<int32_t>& ids) const {
    auto slot = std::make_shared<kernels::LoraSlot>();
    for (int32_t slab = 0; slab < pool.view().num_slabs; ++slab) {
      for (const int32_t id : ids) {
        slot->cells.push_back(static_cast<int32_t>(pool.view().CellOf(slab, id)));
      }
    }
    slot->modules.resize(static_cast<size_t>(layers_) * kernels::kNumLoraModules);
    int64_t tile = 0;
    for (const auto& [at, m] : modules_) {
      kernels::LoraModuleEntry& entry =
          slot->modules[static_cast<size_t>(at.first * kernels::kNumLoraModules + at.second)];
      entry.rank = m.rank;
      entry.scale = m.scale;
      entry.a_tile = static_cast<int32_t>(tile);
      WriteMatrix(pool, *slot, m.inputs, m.rank, &tile, [&m = m](int64_t wide, int64_t rank) {
        return m.a[static_cast<size_t>(rank * m.inputs + wide)];
      });
      entry.b_tile = static_cast<int32_t>(tile);
      WriteMatrix(pool, *slot, m.outputs, m.rank, &tile, [&m = m](int64_t wide, int64_t rank) {
        return m.b[static_cast<size_t>(wide * m.rank + rank)];
      });
      if (m.bias.empty()) continue;
      entry.bias_tile = static_cast<int32_t>(tile);
      for (int64_t e = 0; e < kernels::VectorTiles(m.outputs) * kernels::kTileElements; ++e) {
        Write(pool, *slot, tile + e / kernels::kTileElements, e % kernels::kTileElements,
              e < m.outputs ? m.bias[static_cast<size_t>(e)] : 0.0f);
      }
      tile += kernels::VectorTiles(m.outputs);
    }
    return slot;
  }

 private:
  static void Write(TestPool& pool, const kernels::LoraSlot& slot, int64_t tile, int64_t element,
                    float value) {
    const int64_t per_cell = kernels::TilesPerCell(pool.view());
    pool.Set(slot.cells[static_cast<size_t>(tile / per_cell)],
             tile % per_cell * kernels::kTileElements + element, value);
  }

  template <class At>
  static void WriteMatrix(TestPool& pool, const kernels::LoraSlot& slot, int64_t width, int rank,
                          int64_t* tile, const At& at) {
    for (int64_t block = 0; block < width; block += kernels::kTileWidth) {
      for (int64_t first = 0; first < rank; first += kernels::kTileRanks, ++*tile) {
        for (int64_t e = 0; e < kernels::kTileElements; ++e) {
          const int64_t r = first + e / kernels::kTileWidth;
          const int64_t w = block + e % kernels::kTileWidth;
          Write(pool, slot, *tile, e, r < rank && w < width ? at(w, r) : 0.0f);
        }
      }
    }
  }

  const int layers_;
  std::map<std::pair<int, int>, AdapterModule> modules_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_POOL_ADAPTER_H_
