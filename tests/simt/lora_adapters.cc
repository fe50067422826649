#include "tests/simt/lora_adapters.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/check.h"
#include "kernels/lora/expand_kernel.h"

namespace chorus::test {

using namespace kernels;  // NOLINT: this is about them

uint16_t RandomBits(DType dtype, float scale, std::mt19937& random) {
  const float value = scale * std::uniform_real_distribution<float>(-1.0f, 1.0f)(random);
  return dtype == DType::kBf16 ? Bf16::FromFloat(value).bits : F16::FromFloat(value).bits;
}

double FromBits(DType dtype, uint16_t bits) {
  return dtype == DType::kBf16 ? Bf16{bits}.ToFloat() : F16{bits}.ToFloat();
}

LoraAdapters::LoraAdapters(const LoraCase& c, const LoraSiteShape& site,
                           const std::vector<LoraSegment>& segments, std::mt19937& random)
    : c_(c),
      site_(site),
      random_(random),
      cells_{nullptr, c.num_ids, c.layers, c.tiles_per_cell},
      memory_(cells_.total_bytes()) {
  cells_.base = reinterpret_cast<const unsigned char*>(memory_.data());
  // What is not written is NaN, but where that would cost too much.
  if (memory_.bytes() <= int64_t{64} << 20) {
    std::memset(memory_.data(), 0xff, static_cast<size_t>(memory_.bytes()));
  }
  const int32_t slots = static_cast<int32_t>(segments.size()) + 1;
  std::vector<std::vector<int32_t>> ids(static_cast<size_t>(slots));
  entries_.resize(static_cast<size_t>(slots * c_.layers * kNumLoraModules));
  std::memset(static_cast<void*>(entries_.data()), 0xff, entries_.size() * sizeof(entries_[0]));
  std::vector<int32_t> free(static_cast<size_t>(std::min<int64_t>(c_.num_ids, 4096)));
  std::iota(free.begin(), free.end(), 0);
  // In a large pool, its last ids: where a product in 32 bits would wrap.
  for (int32_t& id : free)
    id += static_cast<int32_t>(c_.num_ids) - static_cast<int32_t>(free.size());
  std::shuffle(free.begin(), free.end(), random_);
  for (size_t s = 0; s < segments.size(); ++s) {
    MakeAdapter(c_.segments[s], segments[s].slot, &free,
                &ids[static_cast<size_t>(segments[s].slot)]);
  }
  size_t most = 1;
  for (const auto& list : ids) most = std::max(most, list.size());
  ids_stride_ = static_cast<int32_t>(most) + 1;
  ids_.assign(static_cast<size_t>(slots * ids_stride_), -1);
  for (size_t s = 0; s < ids.size(); ++s) {
    num_ids_.push_back(static_cast<int32_t>(ids[s].size()));
    std::copy(ids[s].begin(), ids[s].end(), ids_.begin() + static_cast<ptrdiff_t>(s) * ids_stride_);
  }
}

void LoraAdapters::MakeAdapter(const LoraCaseSegment& segment, int32_t slot,
                               std::vector<int32_t>* free, std::vector<int32_t>* ids) {
  const int32_t tiles = TilesOf(segment);
  const int32_t count = Max(1, DivideUp(DivideUp(tiles + 2, c_.tiles_per_cell), c_.layers));
  int32_t tile = c_.fills_lease ? count * c_.layers * c_.tiles_per_cell - tiles
                                : static_cast<int32_t>(random_() % 3);
  std::vector<std::pair<int32_t, uint16_t>> contents;  // element, value
  std::vector<LoraMatrices>& matrices = matrices_.emplace_back();
  for (int layer = 0; layer < c_.layers; ++layer) {
    for (int m = 0; m < site_.num_modules; ++m) {
      LoraModuleEntry& entry = entries_[static_cast<size_t>(
          (slot * c_.layers + layer) * kNumLoraModules + site_.modules[m])];
      entry = {};
      if (layer == c_.layer) matrices.emplace_back();
      const int rank = segment.ranks[static_cast<size_t>(m)];
      if (rank == 0) continue;
      entry.rank = rank;
      entry.scale = 0.25f + static_cast<float>(m);
      entry.a_tile = tile;
      tile += static_cast<int32_t>(MatrixTiles(c_.inputs, rank));
      entry.b_tile = tile;
      tile += static_cast<int32_t>(MatrixTiles(site_.y_width[m], rank));
      if (segment.has_bias) {
        entry.bias_tile = tile;
        tile += static_cast<int32_t>(VectorTiles(site_.y_width[m]));
      }
      if (layer == c_.layer) {
        matrices.back() = MakeMatrices(entry, site_.y_width[m], &contents);
      }
    }
  }
  CHORUS_CHECK(static_cast<int32_t>(free->size()) >= count);
  ids->assign(free->end() - count, free->end());
  free->resize(free->size() - static_cast<size_t>(count));
  std::sort(ids->begin(), ids->end());
  auto* const pool = reinterpret_cast<uint16_t*>(memory_.data());
  for (const auto& [element, value] : contents) {
    const int32_t in_cell = c_.tiles_per_cell * kTileElements;
    const int32_t cell = element / in_cell;
    const int64_t at = cell / count * c_.num_ids + (*ids)[static_cast<size_t>(cell % count)];
    pool[at * in_cell + element % in_cell] = value;
  }
}

int32_t LoraAdapters::TilesOf(const LoraCaseSegment& segment) const {
  int64_t tiles = 0;
  for (int m = 0; m < site_.num_modules; ++m) {
    const int rank = segment.ranks[static_cast<size_t>(m)];
    if (rank == 0) continue;
    tiles += MatrixTiles(c_.inputs, rank) + MatrixTiles(site_.y_width[m], rank);
    if (segment.has_bias) tiles += VectorTiles(site_.y_width[m]);
  }
  return static_cast<int32_t>(tiles) * c_.layers;
}

LoraMatrices LoraAdapters::MakeMatrices(const LoraModuleEntry& entry, int width,
                                        std::vector<std::pair<int32_t, uint16_t>>* contents) {
  LoraMatrices made;
  const int32_t rank_blocks = RankBlocks(entry.rank);
  made.a.resize(static_cast<size_t>(entry.rank * c_.inputs));
  made.b.resize(static_cast<size_t>(entry.rank * width));
  const auto add = [&](int32_t element, double* to, bool inside) {
    const uint16_t value = inside ? RandomBits(c_.dtype, 1.0f, random_) : uint16_t{0};
    if (inside) *to = FromBits(c_.dtype, value);
    contents->emplace_back(element, value);
  };
  for (int32_t block = 0; block < rank_blocks; ++block) {
    for (int32_t r = 8 * block; r < 8 * block + 8; ++r) {
      for (int32_t k = 0; k < WidthBlocks(c_.inputs) * kTileWidth; ++k) {
        const int32_t tile = entry.a_tile + k / kTileWidth * rank_blocks + block;
        const bool inside = r < entry.rank && k < c_.inputs;
        add(tile * kTileElements + r % 8 * kTileWidth + k % kTileWidth,
            inside ? &made.a[static_cast<size_t>(r * c_.inputs + k)] : nullptr, inside);
      }
      for (int32_t o = 0; o < WidthBlocks(width) * kTileWidth; ++o) {
        const int32_t tile = entry.b_tile + o / kTileWidth * rank_blocks + block;
        const bool inside = r < entry.rank && o < width;
        add(tile * kTileElements + DeviceBTileIndex(o % kTileWidth, r % 8),
            inside ? &made.b[static_cast<size_t>(o * entry.rank + r)] : nullptr, inside);
      }
    }
  }
  if (entry.bias_tile >= 0) {
    made.bias.resize(static_cast<size_t>(width));
    for (int32_t o = 0; o < VectorTiles(width) * kTileElements; ++o) {
      add(entry.bias_tile * kTileElements + o,
          o < width ? &made.bias[static_cast<size_t>(o)] : nullptr, o < width);
    }
  }
  return made;
}

}  // namespace chorus::test
