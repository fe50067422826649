// How far a kernel may lie from its double-precision oracle. Bounds are derived, not tuned:
// a sum of n products, rounded to f32 after each, in any order, errs by at most
//   n · u · Σ|aᵢbᵢ|,  u = 2^-24        (Higham, Accuracy and Stability, §4.2)
// so every oracle of a sum also returns Σ|aᵢbᵢ|.
#ifndef CHORUS_TESTS_SUPPORT_TOLERANCE_H_
#define CHORUS_TESTS_SUPPORT_TOLERANCE_H_

#include <cmath>
#include <cstdint>

#include "kernels/device/dtype.h"

namespace chorus::test {

constexpr double kF32Unit = 0x1p-24;
constexpr double kBf16Unit = 0x1p-8;  // half a spacing of 2^-7 relative to the lower power of two
constexpr double kF16Unit = 0x1p-11;

// A sum of `terms` products in f32 whose magnitudes add up to `magnitude`. vdpbf16ps rounds twice
// per pair and flushes subnormals, which the +2 and the smallest normal cover.
inline double SumTolerance(int64_t terms, double magnitude) {
  return static_cast<double>(terms + 2) * kF32Unit * magnitude +
         static_cast<double>(terms) * 0x1p-126;
}

// The unit roundoff of a type, and half the spacing of its subnormal numbers.
constexpr double Unit(kernels::DType type) {
  return type == kernels::DType::kF32    ? kF32Unit
         : type == kernels::DType::kBf16 ? kBf16Unit
                                         : kF16Unit;
}
constexpr double SubnormalUnit(kernels::DType type) {
  return type == kernels::DType::kF32    ? 0x1p-150
         : type == kernels::DType::kBf16 ? 0x1p-134
                                         : 0x1p-25;
}

// What rounding a result of this size to `type` may add.
inline double RoundingTolerance(kernels::DType type, double value) {
  return Unit(type) * std::abs(value) + SubnormalUnit(type);
}

// Attention in f32: a score errs by at most (head_dim + 2)·u·S, S = scale·Σ|q k| (SumTolerance),
// and a change of ε in every score changes a softmax weight by a factor within e^{±2ε}; exp adds 2
// ulp, and the two sums over `tokens` and the rescaling at each page one rounding per step. All of
// it is relative to the largest |value|.
inline double AttentionTolerance(int64_t head_dim, int64_t tokens, double score_magnitude,
                                 double max_value) {
  const double score = static_cast<double>(head_dim + 2) * kF32Unit * score_magnitude;
  const double sums = static_cast<double>(2 * tokens + 8) * kF32Unit;
  return (2.0 * score + sums) * max_value;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_TOLERANCE_H_
