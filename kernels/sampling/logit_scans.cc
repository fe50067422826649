#include "kernels/sampling/logit_scans.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sampling/logit_scans.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool BlockMaximaOf(std::span<const float> values, std::span<float> maxima) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  const auto infinity = hn::Set(d, kInfinity);
  bool usable = true;
  for (size_t begin = 0, block = 0; begin < values.size(); begin += kScanBlock, ++block) {
    const size_t end = std::min(values.size(), begin + size_t{kScanBlock});
    float max = -kInfinity;
    size_t i = begin;
    auto largest = hn::Set(d, -kInfinity);
    auto below = hn::Lt(largest, infinity);  // all true
    for (; i + lanes <= end; i += lanes) {
      const auto v = hn::LoadU(d, values.data() + i);
      below = hn::And(below, hn::Lt(v, infinity));
      largest = hn::Max(largest, v);
    }
    usable = usable && hn::AllTrue(d, below);
    max = hn::GetLane(hn::MaxOfLanes(d, largest));
    for (; i < end; ++i) {
      usable = usable && values[i] < kInfinity;
      max = std::max(max, values[i]);
    }
    maxima[block] = max;
  }
  return usable;
}

void BlockWeightsOf(std::span<const float> values, float max, float inverse_temperature,
                    std::span<float> weights, std::span<double> sums) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  const auto top = hn::Set(d, max);
  const auto factor = hn::Set(d, inverse_temperature);
  for (size_t begin = 0, block = 0; begin < values.size(); begin += kScanBlock, ++block) {
    const size_t end = std::min(values.size(), begin + size_t{kScanBlock});
    // Lane l of 16, however long a vector is, adds up weights l, l + 16, …: on every processor with
    // fused multiply-adds, and on a GPU, the sums have the same bits.
    HWY_ALIGN float partial[16] = {};
    for (size_t i = begin; i < end; i += lanes) {
      float* const to = partial + (i - begin) % 16;
      const size_t count = std::min(lanes, end - i);
      const bool whole = count == lanes;
      const float* const from = values.data() + i;
      const auto v = whole ? hn::LoadU(d, from) : LoadTailF32(d, from, count);
      const auto weight = ExpF32(d, hn::Mul(hn::Sub(v, top), factor));
      if (whole) {
        hn::StoreU(weight, d, weights.data() + i);
        hn::Store(hn::Add(hn::Load(d, to), weight), d, to);
      } else {
        StoreTailF32(weight, d, weights.data() + i, count);
        const auto tail = LoadTailF32(d, weights.data() + i, count);
        hn::Store(hn::Add(hn::Load(d, to), tail), d, to);
      }
    }
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t lane = 0; lane < half; ++lane) partial[lane] += partial[lane + half];
    }
    sums[block] = partial[0];
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(BlockMaximaOf);
HWY_EXPORT(BlockWeightsOf);

bool BlockMaxima(std::span<const float> values, std::span<float> maxima) {
  return HWY_DYNAMIC_DISPATCH(BlockMaximaOf)(values, maxima);
}

void BlockWeights(std::span<const float> values, float max, float inverse_temperature,
                  std::span<float> weights, std::span<double> sums) {
  HWY_DYNAMIC_DISPATCH(BlockWeightsOf)(values, max, inverse_temperature, weights, sums);
}

}  // namespace chorus::kernels
#endif
