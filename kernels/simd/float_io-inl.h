// Per-target loads and stores of f32 vectors from and to f32 or bf16 memory, tails included.
// Included once per Highway target (after foreach_target.h), hence the toggled guard.
#if defined(CHORUS_KERNELS_SIMD_FLOAT_IO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHORUS_KERNELS_SIMD_FLOAT_IO_INL_H_
#undef CHORUS_KERNELS_SIMD_FLOAT_IO_INL_H_
#else
#define CHORUS_KERNELS_SIMD_FLOAT_IO_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/device/dtype.h"
#include "kernels/simd/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

CHORUS_DEFINE_UNROLL();

// At most 16 lanes, so that panels, tiles and pages are whole numbers of vectors everywhere.
using F32Tag = hn::CappedTag<float, 16>;

template <class D>
HWY_INLINE hn::Vec<D> LoadF32(D d, const float* HWY_RESTRICT p) {
  return hn::LoadU(d, p);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadF32(D d, const Bf16* HWY_RESTRICT p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<uint32_t, D> d32;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
}

template <class D>
HWY_INLINE void StoreF32(hn::Vec<D> v, D d, float* HWY_RESTRICT p) {
  hn::StoreU(v, d, p);
}

// Rounds as Bf16::FromFloat does.
template <class D>
HWY_INLINE void StoreF32(hn::Vec<D> v, D /*d*/, Bf16* HWY_RESTRICT p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<uint32_t, D> d32;
  const hn::Rebind<int32_t, D> di32;
  const auto u = hn::BitCast(d32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(u, hn::Set(d32, 0x7fff)), odd));
  const auto quiet_nan = hn::Or(hn::ShiftRight<16>(u), hn::Set(d32, 0x40));
  const auto is_nan = hn::RebindMask(d32, hn::IsNaN(v));
  const auto bits = hn::IfThenElse(is_nan, quiet_nan, rounded);
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di32, bits)), d16, reinterpret_cast<uint16_t*>(p));
}

// The first `count` < Lanes(d) elements, then zeros; reads nothing behind them.
template <class D, class T>
HWY_INLINE hn::Vec<D> LoadTailF32(D d, const T* HWY_RESTRICT p, size_t count) {
  HWY_ALIGN T padded[16] = {};
  for (size_t i = 0; i < count; ++i) padded[i] = p[i];
  return LoadF32(d, padded);
}

template <class D, class T>
HWY_INLINE void StoreTailF32(hn::Vec<D> v, D d, T* HWY_RESTRICT p, size_t count) {
  HWY_ALIGN T padded[16];
  StoreF32(v, d, padded);
  for (size_t i = 0; i < count; ++i) p[i] = padded[i];
}

}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CHORUS_KERNELS_SIMD_FLOAT_IO_INL_H_
