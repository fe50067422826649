// LoraShrink in bf16 where the processor has vdpbf16ps. A row of an A tile is 32 inputs of one
// rank, one vdpbf16ps with 32 inputs of x; the sixteen lanes run over the blocks of inputs in order
// and are added by a fixed tree.
#include <algorithm>

#include "kernels/check.h"
#include "kernels/device/cpu_features.h"
#include "kernels/lora/shrink_cpu.h"
#include "kernels/lora/tile_cursor.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace chorus::kernels {

#if defined(__x86_64__)
namespace {

// Sums of the lanes of eight vectors.
CHORUS_TARGET_BF16 inline __m256 AddLanes(const __m512 (&v)[kTileRanks]) {
  __m256 half[kTileRanks];
#pragma GCC unroll 16
  for (int i = 0; i < kTileRanks; ++i) {
    half[i] = _mm256_add_ps(_mm512_castps512_ps256(v[i]), _mm512_extractf32x8_ps(v[i], 1));
  }
  const __m256 low =
      _mm256_hadd_ps(_mm256_hadd_ps(half[0], half[1]), _mm256_hadd_ps(half[2], half[3]));
  const __m256 high =
      _mm256_hadd_ps(_mm256_hadd_ps(half[4], half[5]), _mm256_hadd_ps(half[6], half[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20),
                       _mm256_permute2f128_ps(low, high, 0x31));
}

CHORUS_TARGET_BF16 inline __m512 Dot(__m512 sum, __m512i x, __m512i w) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
}

// kBlocks · kRows <= 3, so that the sums stay in registers.
template <int kBlocks, int kRows>
CHORUS_TARGET_BF16 void ShrinkRows(const LoraShrinkArgs& args, const ShrinkPiece& piece,
                                   int64_t row, int64_t block, TileFetcher& next) {
  const int64_t rank_blocks = CeilDiv(piece.entry->rank, kTileRanks);
  TileCursor cursors[kBlocks];
#pragma GCC unroll 16
  for (int b = 0; b < kBlocks; ++b) {
    cursors[b] = TileCursor(args.pool, piece.slot->cells, piece.entry->a_tile + block + b);
  }
  __m512 sums[kBlocks][kRows][kTileRanks];
#pragma GCC unroll 16
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int k = 0; k < kTileRanks; ++k) sums[b][r][k] = _mm512_setzero_ps();
    }
  }
  const Bf16* x = args.x.Row<Bf16>(row);
  for (int64_t left = args.x.cols; left > 0; left -= kTileWidth, x += kTileWidth) {
    const __mmask32 mask = left >= kTileWidth ? ~0u : (1u << left) - 1;
    __m512i values[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      values[r] = _mm512_maskz_loadu_epi16(mask, x + r * args.x.stride);
    }
#pragma GCC unroll 16
    for (int b = 0; b < kBlocks; ++b) {
      const Bf16* const tile = cursors[b].template Get<Bf16>();
#pragma GCC unroll 16
      for (int k = 0; k < kTileRanks; ++k) {
        const __m512i weights = _mm512_loadu_si512(tile + k * kTileWidth);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) sums[b][r][k] = Dot(sums[b][r][k], values[r], weights);
      }
      cursors[b].Advance(rank_blocks);
      next.Fetch();
    }
  }
#pragma GCC unroll 16
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      _mm256_storeu_ps(args.xa.Row<float>(row + r) + piece.xa_column + (block + b) * kTileRanks,
                       AddLanes(sums[b][r]));
    }
  }
}

}  // namespace

void ShrinkPieceAvx512Bf16(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next) {
  if (piece.num_rows == 1) {
    for (int64_t block = piece.block_begin; block < piece.block_end;) {
      const int64_t blocks = std::min<int64_t>(3, piece.block_end - block);
      const auto run = blocks == 3   ? ShrinkRows<3, 1>
                       : blocks == 2 ? ShrinkRows<2, 1>
                                     : ShrinkRows<1, 1>;
      run(args, piece, piece.first_row, block, next);
      block += blocks;
    }
    return;
  }
  for (int64_t block = piece.block_begin; block < piece.block_end; ++block) {
    for (int64_t row = 0; row < piece.num_rows;) {
      const int64_t rows = std::min<int64_t>(3, piece.num_rows - row);
      const auto run = rows == 3   ? ShrinkRows<1, 3>
                       : rows == 2 ? ShrinkRows<1, 2>
                                   : ShrinkRows<1, 1>;
      run(args, piece, piece.first_row + row, block, next);
      row += rows;
    }
  }
}

#else

void ShrinkPieceAvx512Bf16(const LoraShrinkArgs&, const ShrinkPiece&, TileFetcher) {
  CHORUS_CHECK(!"reached only where CpuHasBf16()");
}

#endif

}  // namespace chorus::kernels
