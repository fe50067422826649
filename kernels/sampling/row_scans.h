// RowScans: what a thread block does over a row of values, for the sampling kernel: the largest, a
// value by its rank, the picked ones in order. No float is added here, so results are exact.
#ifndef CHORUS_KERNELS_SAMPLING_ROW_SCANS_H_
#define CHORUS_KERNELS_SAMPLING_ROW_SCANS_H_

#include <bit>
#include <cstdint>
#include <utility>

#include "kernels/sampling/sample_kernel.h"

namespace chorus::kernels {

// A value with its id.
struct ScoredId {
  float value;
  int32_t id;
};

// Monotone in the value, equal for both zeros.
CHORUS_HOST_DEVICE uint32_t OrderedKey(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value == 0.0f ? 0.0f : value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
CHORUS_HOST_DEVICE float ValueOfKey(uint32_t key) {
  return std::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

template <class Arch>
CHORUS_DEVICE double ShflDouble(Arch& arch, double value, int lane) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const uint32_t low = arch.Shfl(static_cast<uint32_t>(bits), lane);
  const uint32_t high = arch.Shfl(static_cast<uint32_t>(bits >> 32), lane);
  return std::bit_cast<double>(uint64_t{high} << 32 | low);
}

// Every method is a collective of the block, and ends or begins with a Sync as it says.
template <class Arch>
class RowScans {
 public:
  static constexpr int kWarps = kSampleThreads / kWarpThreads;

  // Words of the scratch: one or two for each warp, then results that one thread has and all need,
  // two results in double, and 64 words that nobody here uses.
  enum Slot : int { kBin = 64, kRank, kCount, kPosition, kDrawn, kResults = 72, kFree = 80 };

  CHORUS_DEVICE explicit RowScans(Arch& arch)
      : arch_(arch),
        words_(Shared<uint32_t>(arch, 0, kSampleBinsOffset / 4)),
        bins_(Shared<int32_t>(arch, kSampleBinsOffset, kSampleBins)) {}

  // visit(value, i) for all i < n, each by one thread, ascending within a thread.
  template <class Span, class Visit>
  CHORUS_DEVICE void ForEach(const Span& values, int n, const Visit& visit) {
    constexpr int kBatch = 8;  // loads under way
    CHORUS_NO_UNROLL
    for (int first = arch_.Thread(); first < n; first += kBatch * kSampleThreads) {
      float batch[kBatch];
      CHORUS_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const int i = first + b * kSampleThreads;
        if (arch_.Guard(i < n)) batch[b] = values.Load(i);
      }
      CHORUS_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const int i = first + b * kSampleThreads;
        if (arch_.Guard(i < n)) visit(batch[b], i);
      }
    }
  }

  // The largest value and its smallest id; NaN counts as infinity. All threads get it.
  template <class Span>
  CHORUS_DEVICE ScoredId Largest(const Span& values, int n);

  // The value of rank `rank` from below, from 0. REQUIRES: rank < n, no NaN.
  template <class Span>
  CHORUS_DEVICE float AtRank(const Span& values, int n, int rank);

  // put(position, value, i) for the i < n with pick(value), positions counting them in ascending
  // order; returns how many. What `put` wrote is seen by all. It may write to values [0, position].
  template <class Span, class Pick, class Put>
  CHORUS_DEVICE int Compact(const Span& values, int n, const Pick& pick, const Put& put);

  // Makes all bins zero, and all threads see it.
  CHORUS_DEVICE void ClearBins() {
    for (int bin = arch_.Thread(); bin < kSampleBins; bin += kSampleThreads) bins_.Store(bin, 0);
    arch_.Sync();
  }

  // Sums of this lane and those before it.
  CHORUS_DEVICE uint32_t WarpSums(uint32_t value) {
    const int lane = arch_.Lane();
    CHORUS_UNROLL
    for (int step = 1; step < kWarpThreads; step *= 2) {
      const uint32_t other = arch_.Shfl(value, Max(lane - step, 0));
      if (lane >= step) value += other;
    }
    return value;
  }

  // Whether this lane is the first of those with a bit.
  CHORUS_DEVICE bool IsFirst(uint32_t ballot) const {
    const uint32_t bit = 1u << arch_.Lane();
    return (ballot & (bit | (bit - 1))) == bit;
  }

  CHORUS_DEVICE auto words() const { return words_; }
  CHORUS_DEVICE auto bins() const { return bins_; }
  CHORUS_DEVICE auto results() const { return Shared<double>(arch_, 4 * kResults, 2); }

 private:
  // By the first warp: the bin that holds rank `rank`, and the rank within it.
  CHORUS_DEVICE void FindRank(uint32_t rank);
  // By the first warp: counts to sums of those before; the sum of all to kCount.
  template <class Span>
  CHORUS_DEVICE void SumUp(const Span& counts, int n);

  Arch& arch_;
  decltype(Shared<uint32_t>(std::declval<Arch&>(), 0, 0)) words_;
  decltype(Shared<int32_t>(std::declval<Arch&>(), 0, 0)) bins_;
};

}  // namespace chorus::kernels

#include "kernels/sampling/row_scans-inl.h"

#endif  // CHORUS_KERNELS_SAMPLING_ROW_SCANS_H_
