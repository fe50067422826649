// LoraShrink in f32: lanes run over the inputs of a tile's rows in order, and are added by a fixed
// tree at the end.
#include <algorithm>

#include "kernels/lora/shrink_cpu.h"
#include "kernels/lora/tile_cursor.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lora/shrink_f32.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr F32Tag kTag;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(kTag));

// One tile of A times one block of inputs of each row. `x` rows are `x_stride` apart.
template <int kRows>
HWY_INLINE void AddTile(const float* HWY_RESTRICT tile, const float* HWY_RESTRICT x,
                        int64_t x_stride, hn::Vec<F32Tag> (&sums)[kRows][kTileRanks]) {
  for (int i = 0; i < kTileWidth; i += kLanes) {
    hn::Vec<F32Tag> values[kRows];
    Unroll<kRows>([&](auto r)
                      CHORUS_INLINE_LAMBDA { values[r] = hn::LoadU(kTag, x + r * x_stride + i); });
    Unroll<kTileRanks>([&](auto k) CHORUS_INLINE_LAMBDA {
      const auto weights = hn::LoadU(kTag, tile + k * kTileWidth + i);
      Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
        sums[r][k] = hn::MulAdd(values[r], weights, sums[r][k]);
      });
    });
  }
}

template <int kRows>
void ShrinkRows(const LoraShrinkArgs& args, const ShrinkPiece& piece, int64_t row, int64_t block,
                TileFetcher& next) {
  const int64_t rank_blocks = CeilDiv(piece.entry->rank, kTileRanks);
  TileCursor cursor(args.pool, piece.slot->cells, piece.entry->a_tile + block);
  hn::Vec<F32Tag> sums[kRows][kTileRanks];
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kTileRanks>([&](auto k) CHORUS_INLINE_LAMBDA { sums[r][k] = hn::Zero(kTag); });
  });
  const float* x = args.x.Row<float>(row);
  const int64_t tail = args.x.cols % kTileWidth;
  for (int64_t i = 0; i < args.x.cols - tail; i += kTileWidth) {
    AddTile<kRows>(cursor.Get<float>(), x + i, args.x.stride, sums);
    next.Fetch();
    cursor.Advance(rank_blocks);
  }
  if (tail > 0) {
    // What lies behind a row's end is not ours to read, not even times zero.
    HWY_ALIGN float padded[kRows][kTileWidth] = {};
    for (int r = 0; r < kRows; ++r) {
      std::copy_n(x + r * args.x.stride + args.x.cols - tail, tail, padded[r]);
    }
    AddTile<kRows>(cursor.Get<float>(), padded[0], kTileWidth, sums);
  }
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    float* const xa = args.xa.Row<float>(row + r) + piece.xa_column + block * kTileRanks;
    Unroll<kTileRanks>([&](auto k) CHORUS_INLINE_LAMBDA {
      xa[k] = hn::GetLane(hn::SumOfLanes(kTag, sums[r][k]));
    });
  });
}

void ShrinkF32(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  for (int64_t block = piece.block_begin; block < piece.block_end; ++block) {
    int64_t row = piece.first_row;
    const int64_t end = piece.first_row + piece.num_rows;
    for (; row + 3 <= end; row += 3) ShrinkRows<3>(args, piece, row, block, next);
    if (row + 2 == end) ShrinkRows<2>(args, piece, row, block, next);
    if (row + 1 == end) ShrinkRows<1>(args, piece, row, block, next);
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(ShrinkF32);

void ShrinkPieceF32(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  HWY_DYNAMIC_DISPATCH(ShrinkF32)(args, piece, next);
}

}  // namespace chorus::kernels
#endif
