// xA as A fragments in shared memory, rounded (high) and what rounding left (low): device code of
// the expand and of the cluster kernel, which add up xA each in its own way. Fragments:
// kernels/DESIGN.md.
#ifndef CHORUS_KERNELS_LORA_EXPAND_FRAGMENTS_H_
#define CHORUS_KERNELS_LORA_EXPAND_FRAGMENTS_H_

#include "kernels/lora/expand_kernel.h"

namespace chorus::kernels {

constexpr int kWarpPairs = kMaxRankPairs / kLoraWarps;  // pair h · kLoraWarps + warp

// The rank pairs of the module that a warp's pair belongs to; none: the warp has no such pair.
struct PairRange {
  int32_t first;
  int32_t end;
};

// A lane's eight values of a rank pair: registers 0 … 3 of an A fragment, two in each. Register i
// is of row g + 8 · (i % 2) and of rank block i / 2 of the pair.
using PairValues = F2[4];

// The exponent field of |value|.
CHORUS_DEVICE uint32_t ExponentOf(float value) {
  return __builtin_bit_cast(uint32_t, value) >> 23 & 0xffu;
}
CHORUS_DEVICE float PowerOfTwo(uint32_t exponent) {
  return __builtin_bit_cast(float, exponent << 23);
}

// The exponents of the power of two that is taken out of a lane's two rows, module by module: that
// of the row's largest, or that of 1 where there is none to take. For f16, whose low part would be
// subnormal, and lost, where xA is far from 1. The block meets once. `offset`: of kMaxRankPairs ·
// kPieceRows numbers of two bytes.
template <class Arch>
CHORUS_DEVICE void FindExponents(Arch& arch, int32_t offset, const PairValues (&values)[kWarpPairs],
                                 const PairRange (&ranges)[kWarpPairs],
                                 uint32_t (&exponents)[kWarpPairs][2]) {
  const auto of_pairs = Shared<uint16_t>(arch, offset, kMaxRankPairs * kPieceRows);
  const int row = arch.Lane() / 4;
  CHORUS_UNROLL for (int h = 0; h < kWarpPairs; ++h) {
    if (ranges[h].first == ranges[h].end) continue;
    CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
      float largest = 0.0f;
      CHORUS_UNROLL for (int i = half; i < 4; i += 2) {
        largest = Max(largest, Max(Max(values[h][i].x, -values[h][i].x),
                                   Max(values[h][i].y, -values[h][i].y)));
      }
      largest = Max(largest, arch.ShflXor(largest, 1));
      largest = Max(largest, arch.ShflXor(largest, 2));
      if (arch.Lane() % 4 == 0) {
        of_pairs.Store((h * kLoraWarps + arch.Warp()) * kPieceRows + row + 8 * half,
                       ExponentOf(largest));
      }
    }
  }
  arch.Sync();
  CHORUS_UNROLL for (int h = 0; h < kWarpPairs; ++h) {
    CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
      uint32_t exponent = 0;
      CHORUS_NO_UNROLL for (int32_t pair = ranges[h].first; pair < ranges[h].end; ++pair) {
        exponent = Max<uint32_t>(exponent, of_pairs.Load(pair * kPieceRows + row + 8 * half));
      }
      exponents[h][half] = exponent == 0 || exponent >= 254 ? 127u : exponent;
    }
  }
}

// Lays out a pair's values over the powers of two.
template <class T, class Arch>
CHORUS_DEVICE void StorePair(Arch& arch, int32_t pair, const PairValues& values,
                             const uint32_t (&exponents)[2]) {
  const auto high = Shared<uint32_t>(arch, 0, kFragmentWords);
  const auto low = Shared<uint32_t>(arch, kExpandLowOffset, kFragmentWords);
  uint32_t rounded[4];
  uint32_t rest[4];
  CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
    const float power = PowerOfTwo(254 - exponents[i % 2]);
    const F2 value{values[i].x * power, values[i].y * power};
    rounded[i] = arch.Pack(T{}, value.x, value.y);
    const F2 back = arch.Unpack(T{}, rounded[i]);
    rest[i] = arch.Pack(T{}, value.x - back.x, value.y - back.y);
  }
  const int at = (pair * kWarpThreads + arch.Lane()) * 4;
  high.StoreFrom(U4{rounded[0], rounded[1], rounded[2], rounded[3]}, at);
  low.StoreFrom(U4{rest[0], rest[1], rest[2], rest[3]}, at);
}

// What the module's sums are multiplied by, row by row. By one warp that has the exponents.
template <class Arch>
CHORUS_DEVICE void StoreFactors(Arch& arch, int32_t site_module, float scale,
                                const uint32_t (&exponents)[2]) {
  const auto factors = Shared<float>(arch, kExpandFactorOffset, kMaxSiteModules * kPieceRows);
  if (arch.Lane() % 4 != 0) return;
  CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
    factors.Store(site_module * kPieceRows + arch.Lane() / 4 + 8 * half,
                  scale * PowerOfTwo(exponents[half]));
  }
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_EXPAND_FRAGMENTS_H_
