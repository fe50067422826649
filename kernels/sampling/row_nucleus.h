// The nucleus of a row on a device (Holtzman et al., 2020), as CutNucleus of select.h says it: from
// the smallest up, a weight goes as long as the sum of what has gone is at most the limit. A search
// by digits of the weights' bits, over histograms of sums instead of counts.
#ifndef CHORUS_KERNELS_SAMPLING_ROW_NUCLEUS_H_
#define CHORUS_KERNELS_SAMPLING_ROW_NUCLEUS_H_

#include "kernels/sampling/row_weights.h"

namespace chorus::kernels {

template <class Arch>
class RowNucleus {
 public:
  CHORUS_DEVICE explicit RowNucleus(Arch& arch) : arch_(arch), scans_(arch) {}

  // What top_p < 1 leaves of the row. `total` is SumWhole's. A collective of the block.
  template <class Span>
  CHORUS_DEVICE WeightCut Find(const Span& values, int n, const WeightOf& weight_of, double total,
                               float top_p);

 private:
  static constexpr int kBins = kSampleBins / 2;  // each in two halves

  // A positive float is significand · Unit(exponent).
  static CHORUS_DEVICE uint32_t Exponent(uint32_t key) { return Max(key >> 23, 1u); }
  static CHORUS_DEVICE uint32_t Significand(uint32_t key) {
    return (key & 0x7fffffu) | (key >> 23 != 0 ? 0x800000u : 0u);
  }
  static CHORUS_DEVICE double Unit(uint32_t exponent) {
    return std::bit_cast<double>(uint64_t{exponent + 1023 - 150} << 52);
  }

  // What is known of the smallest weight that stays.
  struct Search {
    uint32_t key = 0;           // the bits that are known,
    uint32_t known = 0;         // and which these are
    double gone = 0.0;          // the sum of all that is smaller
    uint64_t significands = 0;  // the sum of those with this key
  };

  // By the first warp: the first bin at which `gone` and the bins up to it exceed the limit, or the
  // last that is not empty. Leaves it, the sum before it and its significands in the scratch.
  CHORUS_DEVICE void FindBin(const Search& search, int shift, double limit);
  // Which of those that weigh as much as the smallest that stays do stay: the first.
  template <class Span>
  CHORUS_DEVICE WeightCut CutTies(const Span& values, int n, const WeightOf& weight_of,
                                  const Search& search, double limit);

  Arch& arch_;
  RowScans<Arch> scans_;
};

// A bin's weights share their exponent, so its sum is exact in two integers: of the upper and of
// the lower 12 bits of the significands. For 2^20 weights both have 32 bits.
template <class Arch>
CHORUS_DEVICE void RowNucleus<Arch>::FindBin(const Search& search, int shift, double limit) {
  const auto bins = scans_.bins();
  const int lane = arch_.Lane();
  double below = search.gone;
  int bin = 0;
  double gone = 0.0;
  uint64_t significands = 0;
  CHORUS_NO_UNROLL
  for (int first = 0; first < kBins; first += kWarpThreads) {
    const auto upper = static_cast<uint32_t>(bins.Load(first + lane));
    const auto lower = static_cast<uint32_t>(bins.Load(kBins + first + lane));
    const uint64_t own = (uint64_t{upper} << 12) + lower;
    const uint32_t key = search.key | static_cast<uint32_t>(first + lane) << shift;
    double sum = static_cast<double>(own) * Unit(Exponent(key));
    CHORUS_UNROLL
    for (int step = 1; step < kWarpThreads; step *= 2) {
      const double other = ShflDouble(arch_, sum, Max(lane - step, 0));
      if (lane >= step) sum += other;
    }
    const uint32_t filled = arch_.Ballot(own != 0);
    const uint32_t over = arch_.Ballot(own != 0 && below + sum > limit);
    if (filled != 0) {
      const int chosen = over != 0 ? FirstBit(over) : LastBit(filled);
      const double before = ShflDouble(arch_, sum, Max(chosen - 1, 0));
      bin = first + chosen;
      gone = chosen == 0 ? below : below + before;
      significands = (uint64_t{arch_.Shfl(upper, chosen)} << 12);
      significands += arch_.Shfl(lower, chosen);
    }
    if (over != 0) break;
    below += ShflDouble(arch_, sum, kWarpThreads - 1);
  }
  if (lane != 0) return;
  scans_.words().Store(scans_.kBin, static_cast<uint32_t>(bin));
  scans_.results().Store(0, gone);
  scans_.results().Store(1, std::bit_cast<double>(significands));
}

template <class Arch>
template <class Span>
CHORUS_DEVICE WeightCut RowNucleus<Arch>::Find(const Span& values, int n, const WeightOf& weight_of,
                                               double total, float top_p) {
  constexpr uint32_t kMask = kBins - 1;
  const double limit = (1.0 - double{top_p}) * total;
  // What lies below the limit's mean share goes for certain, and without atomics.
  const double certain = limit / n;
  const auto partials = Shared<double>(arch_, 0, RowScans<Arch>::kWarps);
  Search search;
  CHORUS_NO_UNROLL
  for (int shift = 20; shift >= 0; shift -= 10) {
    scans_.ClearBins();
    double sure = 0.0;
    scans_.ForEach(values, n, [&](float value, int) {
      const float weight = weight_of.Whole(value);
      const auto key = std::bit_cast<uint32_t>(weight);
      if (double{weight} < certain) {
        if (search.known == 0) sure += double{weight};
      } else if ((key & search.known) == search.key) {
        const auto bin = static_cast<int>((key >> shift) & kMask);
        const uint32_t significand = Significand(key);
        arch_.AtomicAdd(scans_.bins(), bin, static_cast<int32_t>(significand >> 12));
        arch_.AtomicAdd(scans_.bins(), kBins + bin, static_cast<int32_t>(significand & 0xfffu));
      }
    });
    CHORUS_UNROLL
    for (int mask = kWarpThreads / 2; mask > 0; mask /= 2) {
      sure += ShflDouble(arch_, sure, arch_.Lane() ^ mask);
    }
    if (arch_.Lane() == 0) partials.Store(arch_.Warp(), sure);
    arch_.Sync();
    if (arch_.Warp() == 0) {
      for (int warp = 0; warp < RowScans<Arch>::kWarps; ++warp) search.gone += partials.Load(warp);
      FindBin(search, shift, limit);
    }
    arch_.Sync();
    search.key |= scans_.words().Load(scans_.kBin) << shift;
    search.known |= kMask << shift;
    search.gone = scans_.results().Load(0);
    search.significands = std::bit_cast<uint64_t>(scans_.results().Load(1));
  }
  return CutTies(values, n, weight_of, search, limit);
}

template <class Arch>
template <class Span>
CHORUS_DEVICE WeightCut RowNucleus<Arch>::CutTies(const Span& values, int n,
                                                  const WeightOf& weight_of, const Search& search,
                                                  double limit) {
  // A key of 0 is found only if the total is infinite, which it never is; but then nothing traps.
  const uint64_t significand = Max(Significand(search.key), 1u);
  const auto ties = static_cast<int>(search.significands / significand);
  const double weight{std::bit_cast<float>(search.key)};
  // Products of a weight and a count are exact in double.
  const double share = Max(0.0, Min((limit - search.gone) / weight, static_cast<double>(ties)));
  auto going = static_cast<int>(share);
  while (going < ties && search.gone + weight * (going + 1) <= limit) ++going;
  while (going > 0 && search.gone + weight * going > limit) --going;
  // The first in rank stays, whatever rounding says.
  if (going == ties && weight == 1.0) --going;
  const int kept = ties - going;
  if (kept == 0 || going == 0) return {search.key, kept == 0 ? 0 : n, 0.0f};
  const auto tied = [&](float value) {
    return std::bit_cast<uint32_t>(weight_of.Whole(value)) == search.key;
  };
  scans_.Compact(values, n, tied, [&](int position, float, int i) {
    if (position == kept) scans_.words().Store(scans_.kPosition, static_cast<uint32_t>(i));
  });
  return {search.key, static_cast<int32_t>(scans_.words().Load(scans_.kPosition)), 0.0f};
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_ROW_NUCLEUS_H_
