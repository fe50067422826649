// The larger methods of RowScans.
#ifndef CHORUS_KERNELS_SAMPLING_ROW_SCANS_INL_H_
#define CHORUS_KERNELS_SAMPLING_ROW_SCANS_INL_H_

#include <limits>

#include "kernels/sampling/row_scans.h"

namespace chorus::kernels {

template <class Arch>
template <class Span>
CHORUS_DEVICE ScoredId RowScans<Arch>::Largest(const Span& values, int n) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto better = [](const ScoredId& a, const ScoredId& b) {
    return a.value != b.value ? a.value > b.value : a.id < b.id;
  };
  ScoredId best{-kInfinity, n};
  ForEach(values, n, [&](float value, int i) {
    const float known = value < kInfinity ? value : kInfinity;
    if (known > best.value) best = {known, i};
  });
  CHORUS_UNROLL
  for (int mask = kWarpThreads / 2; mask > 0; mask /= 2) {
    const float value = arch_.ShflXor(best.value, mask);
    const uint32_t id = arch_.Shfl(static_cast<uint32_t>(best.id), arch_.Lane() ^ mask);
    const ScoredId other{value, static_cast<int32_t>(id)};
    if (better(other, best)) best = other;
  }
  if (arch_.Lane() == 0) {
    words_.Store(2 * arch_.Warp(), std::bit_cast<uint32_t>(best.value));
    words_.Store(2 * arch_.Warp() + 1, static_cast<uint32_t>(best.id));
  }
  arch_.Sync();
  CHORUS_NO_UNROLL
  for (int warp = 0; warp < kWarps; ++warp) {
    const ScoredId other{std::bit_cast<float>(words_.Load(2 * warp)),
                         static_cast<int32_t>(words_.Load(2 * warp + 1))};
    if (better(other, best)) best = other;
  }
  return best;
}

template <class Arch>
CHORUS_DEVICE void RowScans<Arch>::FindRank(uint32_t rank) {
  uint32_t below = 0;
  CHORUS_NO_UNROLL
  for (int first = 0; first < kSampleBins; first += kWarpThreads) {
    const auto count = static_cast<uint32_t>(bins_.Load(first + arch_.Lane()));
    const uint32_t sum = below + WarpSums(count);
    const uint32_t reached = arch_.Ballot(sum > rank);
    if (reached != 0) {
      if (IsFirst(reached)) {
        words_.Store(kBin, static_cast<uint32_t>(first + arch_.Lane()));
        words_.Store(kRank, rank - (sum - count));
      }
      return;
    }
    below = arch_.Shfl(sum, kWarpThreads - 1);
  }
}

template <class Arch>
template <class Span>
CHORUS_DEVICE float RowScans<Arch>::AtRank(const Span& values, int n, int rank) {
  uint32_t key = 0;    // the bits that are known,
  uint32_t known = 0;  // and which these are
  auto rest = static_cast<uint32_t>(rank);
  CHORUS_NO_UNROLL
  for (int shift = 21; shift >= -1; shift -= 11) {
    // 11, 11 and 10 bits.
    const int low = Max(shift, 0);
    const uint32_t mask = (shift < 0 ? 0x3ffu : 0x7ffu) << low;
    ClearBins();
    ForEach(values, n, [&](float value, int) {
      const uint32_t its_key = OrderedKey(value);
      if ((its_key & known) == key)
        arch_.AtomicAdd(bins_, static_cast<int>((its_key & mask) >> low), 1);
    });
    arch_.Sync();
    if (arch_.Warp() == 0) FindRank(rest);
    arch_.Sync();
    key |= words_.Load(kBin) << low;
    known |= mask;
    rest = words_.Load(kRank);
  }
  return ValueOfKey(key);
}

template <class Arch>
template <class Span>
CHORUS_DEVICE void RowScans<Arch>::SumUp(const Span& counts, int n) {
  uint32_t below = 0;
  CHORUS_NO_UNROLL
  for (int first = 0; first < n; first += kWarpThreads) {
    const int i = first + arch_.Lane();
    const bool inside = arch_.Guard(i < n);
    const uint32_t count = inside ? counts.Load(i) : 0;
    const uint32_t sum = below + WarpSums(count);
    if (inside) counts.Store(i, sum - count);
    below = arch_.Shfl(sum, kWarpThreads - 1);
  }
  if (arch_.Lane() == 0) words_.Store(kCount, below);
}

template <class Arch>
template <class Span, class Pick, class Put>
CHORUS_DEVICE int RowScans<Arch>::Compact(const Span& values, int n, const Pick& pick,
                                          const Put& put) {
  // A warp takes a scan block of 64 at a time, two values a lane.
  static_assert(kScanBlock == 2 * kWarpThreads);
  const int blocks = DivideUp<int>(n, kScanBlock);
  const auto counts = Shared<uint32_t>(arch_, kSampleBlocksOffset, blocks);
  CHORUS_NO_UNROLL
  for (int block = arch_.Warp(); block < blocks; block += kWarps) {
    const int i = block * static_cast<int>(kScanBlock) + arch_.Lane();
    const bool low = arch_.Guard(i < n) && pick(values.Load(i));
    const bool high = arch_.Guard(i + kWarpThreads < n) && pick(values.Load(i + kWarpThreads));
    const uint32_t low_picked = arch_.Ballot(low);
    const uint32_t high_picked = arch_.Ballot(high);
    const int picked = PopCount(low_picked) + PopCount(high_picked);
    if (arch_.Lane() == 0) counts.Store(block, static_cast<uint32_t>(picked));
  }
  arch_.Sync();
  if (arch_.Warp() == 0) SumUp(counts, blocks);
  // All warps read before any of them writes: `put` may write over what was read, and what is read
  // later lies behind. The first Sync also makes the sums known.
  CHORUS_NO_UNROLL
  for (int first = 0; first < blocks; first += kWarps) {
    const int block = first + arch_.Warp();
    const int i = block * static_cast<int>(kScanBlock) + arch_.Lane();
    ScoredId low{0.0f, -1};
    ScoredId high{0.0f, -1};
    if (arch_.Guard(i < n)) low = {values.Load(i), i};
    if (arch_.Guard(i + kWarpThreads < n)) {
      high = {values.Load(i + kWarpThreads), i + kWarpThreads};
    }
    const bool low_taken = low.id >= 0 && pick(low.value);
    const bool high_taken = high.id >= 0 && pick(high.value);
    const uint32_t low_picked = arch_.Ballot(low_taken);
    const uint32_t high_picked = arch_.Ballot(high_taken);
    arch_.Sync();
    const uint32_t before = (1u << arch_.Lane()) - 1;
    const int begin = block < blocks ? static_cast<int>(counts.Load(block)) : 0;
    const int middle = begin + PopCount(low_picked);
    if (low_taken) put(begin + PopCount(low_picked & before), low.value, low.id);
    if (high_taken) put(middle + PopCount(high_picked & before), high.value, high.id);
  }
  const auto count = static_cast<int>(words_.Load(kCount));
  arch_.Sync();
  return count;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_ROW_SCANS_INL_H_
