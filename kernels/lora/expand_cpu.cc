// LoraExpand: outputs are lanes, and each is one chain of multiply-adds over the true ranks in
// order, in f32 also where B is bf16. Ranks that only pad the last tile are not touched.
#include "kernels/lora/expand_cpu.h"

#include <algorithm>

#include "kernels/lora/tile_cursor.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lora/expand_cpu.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr F32Tag kTag;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(kTag));
constexpr int kVectors = kTileWidth / kLanes;
constexpr int kMaxRows = kVectors <= 2 ? 8 : kVectors <= 4 ? 2 : 1;

// One block of 32 outputs for a few rows.
struct Block {
  TileCursor tiles;  // at the block's first tile
  int rank;
  const float* xa;  // [rows, rank]
  int64_t xa_stride;
  float scale;
  const void* bias;  // 32 elements of the pool's type, or null
  float* y;          // [rows, columns]
  int64_t y_stride;
  int64_t columns;  // at most 32
};

// y += scale · sum for one vector of one row, of which `columns` elements exist.
HWY_INLINE void AddToY(hn::Vec<F32Tag> sum, hn::Vec<F32Tag> scale, int64_t columns, float* y) {
  if (columns >= kLanes) {
    hn::StoreU(hn::MulAdd(scale, sum, hn::LoadU(kTag, y)), kTag, y);
  } else if (columns > 0) {
    const auto count = static_cast<size_t>(columns);
    StoreTailF32(hn::MulAdd(scale, sum, LoadTailF32(kTag, y, count)), kTag, y, count);
  }
}

template <class T, int kRows>
HWY_INLINE void StoreRows(const Block& block, hn::Vec<F32Tag> (&sums)[kRows][kVectors]) {
  // Copies: as far as the compiler knows, a store to y may change the block.
  const auto scale = hn::Set(kTag, block.scale);
  float* const y = block.y;
  const int64_t stride = block.y_stride;
  const int64_t columns = block.columns;
  if (const T* const bias = static_cast<const T*>(block.bias); bias != nullptr) {
    Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA {
      const auto b = LoadF32(kTag, bias + v * kLanes);
      Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA { sums[r][v] = hn::Add(sums[r][v], b); });
    });
  }
  if (columns == kTileWidth) {
    Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
      Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA {
        AddToY(sums[r][v], scale, kLanes, y + r * stride + v * kLanes);
      });
    });
    return;
  }
  HWY_ALIGN float spilled[kRows][kTileWidth];
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kVectors>(
        [&](auto v) CHORUS_INLINE_LAMBDA { hn::Store(sums[r][v], kTag, spilled[r] + v * kLanes); });
  });
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      AddToY(hn::Load(kTag, spilled[r] + v * kLanes), scale, columns - v * kLanes,
             y + r * stride + v * kLanes);
    }
  }
}

// One rank: its row of the tile times each row's xa.
template <class T, int kRows>
HWY_INLINE void AddRank(const T* HWY_RESTRICT tile, const float* HWY_RESTRICT xa, int64_t xa_stride,
                        hn::Vec<F32Tag> (&sums)[kRows][kVectors]) {
  hn::Vec<F32Tag> weights[kVectors];
  Unroll<kVectors>([&](auto v)
                       CHORUS_INLINE_LAMBDA { weights[v] = LoadF32(kTag, tile + v * kLanes); });
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    const auto value = hn::Set(kTag, xa[r * xa_stride]);
    Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA {
      sums[r][v] = hn::MulAdd(value, weights[v], sums[r][v]);
    });
  });
}

template <class T, int kRows>
void ExpandBlock(const Block& block) {
  hn::Vec<F32Tag> sums[kRows][kVectors];
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA { sums[r][v] = hn::Zero(kTag); });
  });
  TileCursor tiles = block.tiles;
  const float* xa = block.xa;
  const int64_t xa_stride = block.xa_stride;
  int left = block.rank;
  for (; left >= kTileRanks; left -= kTileRanks) {
    const T* tile = tiles.Get<T>();
    for (int k = 0; k < kTileRanks; ++k, ++xa, tile += kTileWidth) {
      AddRank<T, kRows>(tile, xa, xa_stride, sums);
    }
    tiles.Advance(1);
  }
  const T* tile = left > 0 ? tiles.Get<T>() : nullptr;
  for (; left > 0; --left, ++xa, tile += kTileWidth) {
    AddRank<T, kRows>(tile, xa, xa_stride, sums);
  }
  StoreRows<T, kRows>(block, sums);
}

using BlockRunner = void (*)(const Block&);

template <class T>
constexpr BlockRunner kRunners[] = {
    ExpandBlock<T, 1>,
#if HWY_TARGET != HWY_SCALAR
    ExpandBlock<T, 2>,
#endif
#if HWY_TARGET <= HWY_AVX3
    ExpandBlock<T, 3>, ExpandBlock<T, 4>, ExpandBlock<T, 5>, ExpandBlock<T, 6>,
    ExpandBlock<T, 7>, ExpandBlock<T, 8>
#endif
};

// Blocks that all rows pass over before the next ones: their tiles stay in the second-level cache,
// and y is walked along its rows.
constexpr int64_t kGroupTiles = 256;

template <class T>
void ExpandPieceOf(const LoraExpandArgs& args, const ExpandPiece& piece, TileFetcher next) {
  const LoraModuleEntry& entry = *piece.entry;
  const int64_t rank_blocks = CeilDiv(entry.rank, kTileRanks);
  const int64_t group = std::max<int64_t>(1, kGroupTiles / rank_blocks);
  Block block;
  block.rank = entry.rank;
  block.xa_stride = args.xa.stride;
  block.y_stride = args.y.stride;
  block.scale = entry.scale;
  for (int64_t first = piece.block_begin; first < piece.block_end; first += group) {
    const int64_t end = std::min(piece.block_end, first + group);
    for (int64_t row = 0; row < piece.num_rows; row += kMaxRows) {
      const int64_t rows = std::min<int64_t>(kMaxRows, piece.num_rows - row);
      block.xa = args.xa.Row<float>(piece.first_row + row) + piece.xa_column;
      block.tiles = TileCursor(args.pool, piece.slot->cells, entry.b_tile + first * rank_blocks);
      for (int64_t b = first; b < end; ++b) {
        const int64_t output = b * kTileWidth;
        block.columns = std::min<int64_t>(kTileWidth, piece.y_width - output);
        block.bias = nullptr;
        if (entry.bias_tile >= 0) {
          block.bias =
              TileCursor(args.pool, piece.slot->cells, entry.bias_tile + output / kTileElements)
                  .template Get<T>() +
              output % kTileElements;
        }
        block.y = args.y.Row<float>(piece.first_row + row) + piece.y_column + output;
        kRunners<T>[rows - 1](block);
        for (int64_t t = 0; t < rank_blocks; ++t) next.Fetch();
        block.tiles.Advance(rank_blocks);
      }
    }
  }
}

void ExpandPieces(const LoraExpandArgs& args, const ExpandPiece& piece, TileFetcher next) {
  if (args.pool.dtype == DType::kBf16) {
    ExpandPieceOf<Bf16>(args, piece, next);
  } else {
    ExpandPieceOf<float>(args, piece, next);
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(ExpandPieces);

void RunExpandPiece(const LoraExpandArgs& args, const ExpandPiece& piece, TileFetcher next) {
  HWY_DYNAMIC_DISPATCH(ExpandPieces)(args, piece, next);
}

}  // namespace chorus::kernels
#endif
