// exp(x) in f32, within 2 ulp where the result is normal: x = n·ln2 + r with ln2 in two parts
// (Cody and Waite, 1980), a degree 7 polynomial for exp(r) on |r| <= ln2/2, then 2^n in two steps
// so that results down to the smallest subnormal come out. Every lane computes the same function.
#if defined(CHORUS_KERNELS_SIMD_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHORUS_KERNELS_SIMD_EXP_INL_H_
#undef CHORUS_KERNELS_SIMD_EXP_INL_H_
#else
#define CHORUS_KERNELS_SIMD_EXP_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// exp(-inf) = 0, exp(inf) = inf, exp(NaN) = NaN; below -104 the result is 0.
template <class D>
HWY_INLINE hn::Vec<D> ExpF32(D d, hn::Vec<D> x) {
  const hn::Rebind<int32_t, D> di;
  // Clamping first keeps n small; comparisons with a NaN are false, so it passes through.
  const auto low = hn::Set(d, -104.0f);
  const auto high = hn::Set(d, 89.0f);
  auto clamped = hn::IfThenElse(hn::Lt(x, low), low, x);
  clamped = hn::IfThenElse(hn::Gt(x, high), high, clamped);
  const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504088896341f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  // Taylor's coefficients up to r^7: the rest is below 2^-27 of the result on this interval.
  auto p = hn::Set(d, 1.0f / 5040);
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  p = hn::MulAdd(hn::Mul(r, r), p, r);
  p = hn::Add(p, hn::Set(d, 1.0f));
  const auto ni = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(ni);
  const auto bias = hn::Set(di, 127);
  const auto scale0 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const auto scale1 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(ni, half), bias)));
  const auto result = hn::Mul(hn::Mul(p, scale0), scale1);
  return hn::IfThenZeroElse(hn::Lt(x, low), result);
}

}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CHORUS_KERNELS_SIMD_EXP_INL_H_
