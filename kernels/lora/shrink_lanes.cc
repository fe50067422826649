// LoraShrink for every processor, in f32 and in bf16 widened to f32: lanes run over the inputs of a
// tile's rows in order, and are added by a fixed tree at the end.
#include <algorithm>

#include "kernels/lora/shrink_cpu.h"
#include "kernels/lora/tile_cursor.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lora/shrink_lanes.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr F32Tag kTag;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(kTag));

// Ranks of a tile whose sums stay in registers.
constexpr int RanksFor(int rows) { return kLanes == 16 || rows == 1 ? kTileRanks : kTileRanks / 2; }

// Some ranks of one tile of A times one block of inputs of each row. `x` rows are `x_stride` apart.
template <class T, int kRows, int kRanks>
HWY_INLINE void AddTile(const T* HWY_RESTRICT tile, const T* HWY_RESTRICT x, int64_t x_stride,
                        hn::Vec<F32Tag> (&sums)[kRows][kRanks]) {
  for (int i = 0; i < kTileWidth; i += kLanes) {
    hn::Vec<F32Tag> values[kRows];
    Unroll<kRows>([&](auto r)
                      CHORUS_INLINE_LAMBDA { values[r] = LoadF32(kTag, x + r * x_stride + i); });
    Unroll<kRanks>([&](auto k) CHORUS_INLINE_LAMBDA {
      const auto weights = LoadF32(kTag, tile + k * kTileWidth + i);
      Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
        sums[r][k] = hn::MulAdd(values[r], weights, sums[r][k]);
      });
    });
  }
}

// A block's ranks from `first` on, as many as go together.
template <class T, int kRows>
void ShrinkRanks(const LoraShrinkArgs& args, const ShrinkPiece& piece, int64_t row, int64_t block,
                 int first, TileFetcher& next) {
  constexpr int kRanks = RanksFor(kRows);
  const int64_t rank_blocks = CeilDiv(piece.entry->rank, kTileRanks);
  TileCursor cursor(args.pool, piece.slot->cells, piece.entry->a_tile + block);
  hn::Vec<F32Tag> sums[kRows][kRanks];
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kRanks>([&](auto k) CHORUS_INLINE_LAMBDA { sums[r][k] = hn::Zero(kTag); });
  });
  const T* x = args.x.Row<T>(row);
  const int64_t tail = args.x.cols % kTileWidth;
  for (int64_t i = 0; i < args.x.cols - tail; i += kTileWidth) {
    AddTile(cursor.Get<T>() + first * kTileWidth, x + i, args.x.stride, sums);
    if (first == 0) next.Fetch();
    cursor.Advance(rank_blocks);
  }
  if (tail > 0) {
    // What lies behind a row's end is not ours to read, not even times zero.
    HWY_ALIGN T padded[kRows][kTileWidth] = {};
    for (int r = 0; r < kRows; ++r) {
      std::copy_n(x + r * args.x.stride + args.x.cols - tail, tail, padded[r]);
    }
    AddTile(cursor.Get<T>() + first * kTileWidth, padded[0], kTileWidth, sums);
  }
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    float* const xa = args.xa.Row<float>(row + r) + piece.xa_column + block * kTileRanks + first;
    Unroll<kRanks>([&](auto k) CHORUS_INLINE_LAMBDA {
      xa[k] = hn::GetLane(hn::SumOfLanes(kTag, sums[r][k]));
    });
  });
}

template <class T, int kRows>
void ShrinkRows(const LoraShrinkArgs& args, const ShrinkPiece& piece, int64_t row, int64_t block,
                TileFetcher& next) {
  for (int first = 0; first < kTileRanks; first += RanksFor(kRows)) {
    ShrinkRanks<T, kRows>(args, piece, row, block, first, next);
  }
}

template <class T>
void Shrink(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  for (int64_t block = piece.block_begin; block < piece.block_end; ++block) {
    int64_t row = piece.first_row;
    const int64_t end = piece.first_row + piece.num_rows;
    for (; row + 3 <= end; row += 3) ShrinkRows<T, 3>(args, piece, row, block, next);
    if (row + 2 == end) ShrinkRows<T, 2>(args, piece, row, block, next);
    if (row + 1 == end) ShrinkRows<T, 1>(args, piece, row, block, next);
  }
}

void ShrinkF32(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  Shrink<float>(args, piece, next);
}
void ShrinkBf16(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  Shrink<Bf16>(args, piece, next);
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(ShrinkF32);
HWY_EXPORT(ShrinkBf16);

void ShrinkPieceF32(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  HWY_DYNAMIC_DISPATCH(ShrinkF32)(args, piece, next);
}

void ShrinkPieceBf16(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  HWY_DYNAMIC_DISPATCH(ShrinkBf16)(args, piece, next);
}

}  // namespace chorus::kernels
#endif
