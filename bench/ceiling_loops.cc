// What a core can read and multiply at most, once for each instruction set.
#include "bench/ceiling_loops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/ceiling_loops.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

// Several streams at once: one alone does not keep enough lines in flight.
uint64_t Read(const std::byte* data, int64_t bytes) {
  constexpr int kStreams = 4, kPiece = 256, kAhead = 2048, kLine = 64;
  constexpr hn::CappedTag<uint64_t, 8> kTag;
  constexpr int kVector = static_cast<int>(hn::MaxLanes(kTag)) * 8;
  const int64_t stream = bytes / kStreams / kPiece * kPiece;
  hn::Vec<decltype(kTag)> sums[kStreams];
  for (auto& sum : sums) sum = hn::Zero(kTag);
  for (int64_t i = 0; i < stream; i += kPiece) {
    Unroll<kStreams>([&](auto s) CHORUS_INLINE_LAMBDA {
      const std::byte* const at = data + s * stream + i;
      Unroll<kPiece / kLine>(
          [&](auto line) CHORUS_INLINE_LAMBDA { hwy::Prefetch(at + kAhead + line * kLine); });
      Unroll<kPiece / kVector>([&](auto v) CHORUS_INLINE_LAMBDA {
        const auto* const words = reinterpret_cast<const uint64_t*>(at + v * kVector);
        sums[s] = hn::Or(sums[s], hn::Load(kTag, words));
      });
    });
  }
  return hn::GetLane(
      hn::MaxOfLanes(kTag, hn::Or(hn::Or(sums[0], sums[1]), hn::Or(sums[2], sums[3]))));
}

// As many chains as there are registers for; returns the FLOPs done.
double MultiplyAdd(int64_t steps, float* sum) {
  constexpr F32Tag kTag;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(kTag));
  constexpr int kChains = kLanes == 16 ? 24 : 12;
  hn::Vec<F32Tag> sums[kChains];
  Unroll<kChains>([&](auto i) CHORUS_INLINE_LAMBDA { sums[i] = hn::Set(kTag, i); });
  const auto x = hn::Set(kTag, 0.5f);
  for (int64_t step = 0; step < steps; ++step) {
    Unroll<kChains>([&](auto i) CHORUS_INLINE_LAMBDA { sums[i] = hn::MulAdd(sums[i], x, x); });
  }
  Unroll<kChains>([&](auto i) CHORUS_INLINE_LAMBDA { *sum += hn::GetLane(sums[i]); });
  return 2.0 * kLanes * kChains * static_cast<double>(steps);
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {
HWY_EXPORT(Read);
HWY_EXPORT(MultiplyAdd);
}  // namespace chorus::kernels

namespace chorus::bench {

uint64_t ReadAll(const std::byte* data, int64_t bytes) {
  using namespace kernels;
  return HWY_DYNAMIC_DISPATCH(Read)(data, bytes);
}

double MultiplyAdd(int64_t steps, float* sum) {
  using namespace kernels;
  return HWY_DYNAMIC_DISPATCH(MultiplyAdd)(steps, sum);
}

}  // namespace chorus::bench
#endif
