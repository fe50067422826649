// RMSNorm of one row, for RmsNorm and for the norms over q and k heads in RopeAppendKv.
#if defined(CHORUS_KERNELS_NORM_RMS_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHORUS_KERNELS_NORM_RMS_NORM_INL_H_
#undef CHORUS_KERNELS_NORM_RMS_NORM_INL_H_
#else
#define CHORUS_KERNELS_NORM_RMS_NORM_INL_H_
#endif

#include <cmath>

#include "hwy/highway.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {

// Σ x². Lane l adds up elements l, l + lanes, …; the lanes are then added by a fixed tree: an
// order that depends on the width alone.
HWY_INLINE float SumOfSquares(const float* HWY_RESTRICT x, size_t width) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    sum = hn::MulAdd(v, v, sum);
  }
  if (i < width) {
    const auto v = LoadTailF32(d, x + i, width - i);
    sum = hn::MulAdd(v, v, sum);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// y may be x.
template <class T>
HWY_INLINE void NormRow(const float* x, const float* HWY_RESTRICT weight, float eps, size_t width,
                        T* y) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  const float mean = SumOfSquares(x, width) / static_cast<float>(width);
  const auto inverse = hn::Set(d, 1.0f / std::sqrt(mean + eps));
  size_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto normed = hn::Mul(hn::LoadU(d, x + i), inverse);
    StoreF32(hn::Mul(normed, hn::LoadU(d, weight + i)), d, y + i);
  }
  if (i < width) {
    const auto normed = hn::Mul(LoadTailF32(d, x + i, width - i), inverse);
    StoreTailF32(hn::Mul(normed, LoadTailF32(d, weight + i, width - i)), d, y + i, width - i);
  }
}

}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CHORUS_KERNELS_NORM_RMS_NORM_INL_H_
