// Weights of a row on a device: exp((value − max) / temperature), their sums and the draw, for the
// sampling kernel. The arithmetic is that of logit_scans.cc and sample_row.cc, operation by
// operation and in the same order.
#ifndef CHORUS_KERNELS_SAMPLING_ROW_WEIGHTS_H_
#define CHORUS_KERNELS_SAMPLING_ROW_WEIGHTS_H_

#include "kernels/sampling/row_scans.h"

namespace chorus::kernels {

// exp(x) as ExpF32 of kernels/simd/exp-inl.h computes it with fused multiply-adds. x is no NaN.
CHORUS_HOST_DEVICE float ExpOf(float x) {
  const float clamped = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
  const float n = rintf(clamped * 1.44269504088896341f);
  float r = Fma(-n, 0.693359375f, clamped);
  r = Fma(-n, -2.12194440e-4f, r);
  float p = 1.0f / 5040;
  p = Fma(p, r, 1.0f / 720);
  p = Fma(p, r, 1.0f / 120);
  p = Fma(p, r, 1.0f / 24);
  p = Fma(p, r, 1.0f / 6);
  p = Fma(p, r, 0.5f);
  p = Fma(r * r, p, r) + 1.0f;
  const auto whole = static_cast<int32_t>(n);
  const int32_t half = whole >> 1;
  const auto power = [](int32_t exponent) {
    return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  };
  return x < -104.0f ? 0.0f : p * power(half) * power(whole - half);
}

// What top-p and min-p leave of a row: weights whose bits are above `key`, and of those that equal
// it the ones before `tie_end`; none below min_p but the largest.
struct WeightCut {
  uint32_t key = 0;
  int32_t tie_end = 0;
  float min_p = 0.0f;
};

struct WeightOf {
  float max;
  float inverse_temperature;
  WeightCut cut;

  CHORUS_HOST_DEVICE float Whole(float value) const {
    return ExpOf((value - max) * inverse_temperature);
  }
  CHORUS_HOST_DEVICE float operator()(float value, int i) const {
    const float weight = Whole(value);
    const auto key = std::bit_cast<uint32_t>(weight);
    if (key < cut.key || (key == cut.key && i >= cut.tie_end)) return 0.0f;
    return weight < cut.min_p && weight < 1.0f ? 0.0f : weight;
  }
};

// Every method is a collective of the block. The sums of scan blocks lie behind the bins.
template <class Arch>
class RowWeights {
 public:
  CHORUS_DEVICE explicit RowWeights(Arch& arch) : arch_(arch), scans_(arch) {}

  // The sum of the whole weights: of each scan block in f32, as 16 lanes add up, and of the blocks
  // in order.
  template <class Span>
  CHORUS_DEVICE double SumWhole(const Span& values, int n, const WeightOf& weight_of);
  // The sum of what is left after the cut: in order, in double.
  template <class Span>
  CHORUS_DEVICE double SumCut(const Span& values, int n, const WeightOf& weight_of);
  // The inverse of the cumulated weights at `uniform`, over the sums that were made last and their
  // total.
  template <class Span>
  CHORUS_DEVICE int Draw(const Span& values, int n, const WeightOf& weight_of, double total,
                         double uniform);

 private:
  CHORUS_DEVICE double TotalOfBlocks(int blocks);
  CHORUS_DEVICE auto BlockSums(int blocks) {
    return Shared<double>(arch_, kSampleBlocksOffset, blocks);
  }

  Arch& arch_;
  RowScans<Arch> scans_;
};

template <class Arch>
CHORUS_DEVICE double RowWeights<Arch>::TotalOfBlocks(int blocks) {
  arch_.Sync();
  if (arch_.Thread() == 0) {
    const auto sums = BlockSums(blocks);
    double total = 0.0;
    for (int block = 0; block < blocks; ++block) total += sums.Load(block);
    scans_.results().Store(0, total);
  }
  arch_.Sync();
  return scans_.results().Load(0);
}

template <class Arch>
template <class Span>
CHORUS_DEVICE double RowWeights<Arch>::SumWhole(const Span& values, int n,
                                                const WeightOf& weight_of) {
  constexpr int kLanes = 16;
  constexpr int kTurns = static_cast<int>(kScanBlock) / kLanes;
  const int blocks = DivideUp<int>(n, kScanBlock);
  const auto sums = BlockSums(blocks);
  // Half a warp takes a scan block.
  CHORUS_NO_UNROLL
  for (int first = 2 * arch_.Warp(); first < blocks; first += 2 * RowScans<Arch>::kWarps) {
    const int block = first + arch_.Lane() / kLanes;
    const int begin = block * static_cast<int>(kScanBlock) + arch_.Lane() % kLanes;
    float loaded[kTurns];
    float sum = 0.0f;
    CHORUS_UNROLL
    for (int turn = 0; turn < kTurns; ++turn) {
      if (arch_.Guard(begin + turn * kLanes < n)) loaded[turn] = values.Load(begin + turn * kLanes);
    }
    CHORUS_UNROLL
    for (int turn = 0; turn < kTurns; ++turn) {
      if (arch_.Guard(begin + turn * kLanes < n)) sum += weight_of.Whole(loaded[turn]);
    }
    CHORUS_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) sum += arch_.ShflXor(sum, mask);
    if (arch_.Lane() % kLanes == 0 && arch_.Guard(block < blocks)) sums.Store(block, double{sum});
  }
  return TotalOfBlocks(blocks);
}

template <class Arch>
template <class Span>
CHORUS_DEVICE double RowWeights<Arch>::SumCut(const Span& values, int n,
                                              const WeightOf& weight_of) {
  const int blocks = DivideUp<int>(n, kScanBlock);
  const auto sums = BlockSums(blocks);
  CHORUS_NO_UNROLL
  for (int block = arch_.Thread(); block < blocks; block += kSampleThreads) {
    const int begin = block * static_cast<int>(kScanBlock);
    const int end = Min(begin + static_cast<int>(kScanBlock), n);
    double sum = 0.0;
    for (int i = begin; i < end; ++i) sum += double{weight_of(values.Load(i), i)};
    sums.Store(block, sum);
  }
  return TotalOfBlocks(blocks);
}

template <class Arch>
template <class Span>
CHORUS_DEVICE int RowWeights<Arch>::Draw(const Span& values, int n, const WeightOf& weight_of,
                                         double total, double uniform) {
  constexpr int kBlock = static_cast<int>(kScanBlock);
  const int blocks = DivideUp(n, kBlock);
  const auto weights = Shared<float>(arch_, 4 * RowScans<Arch>::kFree, kBlock);
  const double target = uniform * total;
  double below = 0.0;
  if (arch_.Thread() == 0) {
    const auto sums = BlockSums(blocks);
    int last = 0;
    for (int block = 0; block < blocks; ++block) {
      const double sum = sums.Load(block);
      if (sum == 0.0) continue;
      last = block;
      if (below + sum > target) break;
      below += sum;
    }
    scans_.words().Store(scans_.kPosition, static_cast<uint32_t>(last));
  }
  arch_.Sync();
  const int begin = static_cast<int>(scans_.words().Load(scans_.kPosition)) * kBlock;
  if (arch_.Thread() < kBlock) {
    const int i = begin + arch_.Thread();
    weights.Store(arch_.Thread(), arch_.Guard(i < n) ? weight_of(values.Load(i), i) : 0.0f);
  }
  arch_.Sync();
  if (arch_.Thread() == 0) {
    int drawn = 0;
    for (int i = 0; i < kBlock; ++i) {
      const float weight = weights.Load(i);
      if (weight == 0.0f) continue;
      drawn = i;
      below += double{weight};
      if (below > target) break;
    }
    scans_.words().Store(scans_.kDrawn, static_cast<uint32_t>(begin + drawn));
  }
  arch_.Sync();
  return static_cast<int>(scans_.words().Load(scans_.kDrawn));
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_ROW_WEIGHTS_H_
