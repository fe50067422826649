// Adapters with counter-hash weights, laid out in a test pool's cells as kernels/lora/tiles.h says,
// and the oracles of LoraShrink and LoraExpand over them.
#ifndef CHORUS_TESTS_SUPPORT_LORA_FIXTURE_H_
#define CHORUS_TESTS_SUPPORT_LORA_FIXTURE_H_

#include <vector>

#include "kernels/lora/slots.h"
#include "tests/support/reference/linear.h"
#include "tests/support/test_pool.h"
#include "tests/support/test_tensor.h"

namespace chorus::test {

struct TestModule {
  int64_t inputs = 0;
  int64_t outputs = 0;
  int rank = 0;
  float scale = 1.0f;
  bool has_bias = false;
};

// One layer of one adapter. Weights depend on `seed` alone, not on where they lie.
class TestAdapter {
 public:
  // Takes cells from `free_cells` (from the back) and writes the tiles, the first at `first_tile`,
  // so that matrices begin anywhere in a cell. What lies around them stays as it was.
  TestAdapter(TestPool& pool, std::vector<int32_t>& free_cells,
              const std::vector<TestModule>& modules, uint64_t seed, int64_t first_tile = 1);

  const kernels::LoraSlot& slot() const { return slot_; }

  // (x · Aᵀ)[rank] of a module for one row.
  ReferenceSum Shrink(int module, const TestTensor& x, int64_t row, int rank) const;
  // scale · (xa · Bᵀ + bias)[output], xa's columns from `column` on.
  ReferenceSum Expand(int module, const TestTensor& xa, int64_t row, int64_t column,
                      int64_t output) const;

 private:
  // Writes at(index along the width, rank) tile by tile; returns the tile behind the last.
  template <class At>
  int64_t WriteMatrix(TestPool& pool, int64_t tile, int64_t width, int rank, const At& at);

  std::vector<TestModule> modules_;
  std::vector<TestTensor> a_;     // [rank, inputs]
  std::vector<TestTensor> b_;     // [outputs, rank]
  std::vector<TestTensor> bias_;  // [1, outputs]
  kernels::LoraSlot slot_;
};

inline TestAdapter::TestAdapter(TestPool& pool, std::vector<int32_t>& free_cells,
                                const std::vector<TestModule>& modules, uint64_t seed,
                                int64_t first_tile)
    : modules_(modules) {
  using namespace kernels;  // NOLINT: names of tiles.h and slots.h
  int64_t tiles = first_tile;
  for (const TestModule& m : modules_) {
    if (m.rank == 0) continue;
    tiles += MatrixTiles(m.inputs, m.rank) + MatrixTiles(m.outputs, m.rank);
    if (m.has_bias) tiles += VectorTiles(m.outputs);
  }
  for (int64_t cells = CeilDiv(tiles, TilesPerCell(pool.view())); cells > 0; --cells) {
    slot_.cells.push_back(free_cells.back());
    free_cells.pop_back();
  }
  slot_.modules.resize(kNumLoraModules);
  int64_t tile = first_tile;
  for (size_t i = 0; i < modules_.size(); ++i) {
    const TestModule& m = modules_[i];
    const DType dtype = pool.view().dtype;
    a_.push_back(TestTensor(dtype, m.rank, m.inputs).Fill(100 * seed + 3 * i));
    b_.push_back(TestTensor(dtype, m.outputs, m.rank).Fill(100 * seed + 3 * i + 1));
    bias_.push_back(TestTensor(dtype, 1, m.outputs).Fill(100 * seed + 3 * i + 2));
    if (m.rank == 0) continue;
    LoraModuleEntry& entry = slot_.modules[i];
    entry.rank = m.rank;
    entry.scale = m.scale;
    entry.a_tile = static_cast<int32_t>(tile);
    tile = WriteMatrix(pool, tile, m.inputs, m.rank, [&](int64_t wide, int64_t rank) {
      return static_cast<float>(a_[i].Get(rank, wide));
    });
    entry.b_tile = static_cast<int32_t>(tile);
    tile = WriteMatrix(pool, tile, m.outputs, m.rank, [&](int64_t wide, int64_t rank) {
      return static_cast<float>(b_[i].Get(wide, rank));
    });
    if (!m.has_bias) continue;
    entry.bias_tile = static_cast<int32_t>(tile);
    for (int64_t e = 0; e < VectorTiles(m.outputs) * kTileElements; ++e) {
      const int64_t at = tile + e / kTileElements;
      pool.Set(slot_.cells[static_cast<size_t>(at / TilesPerCell(pool.view()))],
               at % TilesPerCell(pool.view()) * kTileElements + e % kTileElements,
               e < m.outputs ? static_cast<float>(bias_[i].Get(0, e)) : 0.0f);
    }
    tile += VectorTiles(m.outputs);
  }
}

template <class At>
int64_t TestAdapter::WriteMatrix(TestPool& pool, int64_t tile, int64_t width, int rank,
                                 const At& at) {
  using namespace kernels;  // NOLINT: names of tiles.h
  const int64_t per_cell = TilesPerCell(pool.view());
  for (int64_t block = 0; block < width; block += kTileWidth) {
    for (int64_t first = 0; first < rank; first += kTileRanks, ++tile) {
      const int32_t cell = slot_.cells[static_cast<size_t>(tile / per_cell)];
      for (int64_t e = 0; e < kTileElements; ++e) {
        const int64_t r = first + e / kTileWidth;
        const int64_t w = block + e % kTileWidth;
        pool.Set(cell, tile % per_cell * kTileElements + e,
                 r < rank && w < width ? at(w, r) : 0.0f);
      }
    }
  }
  return tile;
}

inline ReferenceSum TestAdapter::Shrink(int module, const TestTensor& x, int64_t row,
                                        int rank) const {
  return ReferenceDot(x, row, a_[static_cast<size_t>(module)], rank);
}

inline ReferenceSum TestAdapter::Expand(int module, const TestTensor& xa, int64_t row,
                                        int64_t column, int64_t output) const {
  const auto m = static_cast<size_t>(module);
  const double scale = modules_[m].scale;
  ReferenceSum sum;
  for (int r = 0; r < modules_[m].rank; ++r) {
    sum.Add(scale * xa.Get(row, column + r) * b_[m].Get(output, r));
  }
  if (modules_[m].has_bias) sum.Add(scale * bias_[m].Get(0, output));
  return sum;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_LORA_FIXTURE_H_
