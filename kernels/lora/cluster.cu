// The K of A, then the N of B, are divided over the blocks of a cluster; between the two each block
// adds up what all of them have of xA. Fragments: kernels/DESIGN.md.
#include <type_traits>

#include "kernels/device/arch.h"
#include "kernels/lora/cluster_kernel.h"
#include "kernels/lora/expand_fragments.h"
#include "kernels/lora/expand_turn.h"
#include "kernels/lora/shrink_turn.h"

namespace chorus::kernels {
namespace {

constexpr int kStepWords = LoraItemWords::kCount;

// Steps of the unit in `buffer`: the shrinks of all modules, then the expands.
template <class Arch>
CHORUS_DEVICE auto StepsOf(Arch& arch, int32_t buffer) {
  return Shared<U4>(arch, kClusterStepOffset + buffer * kUnitStepBytes,
                    2 * kMaxSiteModules * kStepWords);
}
template <class Arch>
CHORUS_DEVICE LoraItem LoadStep(Arch& arch, int32_t buffer, int32_t step) {
  const auto words = StepsOf(arch, buffer);
  LoraItemWords item;
  CHORUS_UNROLL for (int w = 0; w < kStepWords; ++w) {
    item.words[w] = words.Load(step * kStepWords + w);
  }
  return __builtin_bit_cast(LoraItem, item);
}

// This thread's word of the block's steps of a unit, if it has one. Whatever lies there where the
// list has no such unit.
template <int kBlocks, class Arch>
CHORUS_DEVICE U4 FetchStepWord(Arch& arch, const LoraClusterParams& params, int32_t unit) {
  const int32_t steps = 2 * params.num_modules;
  const int32_t first =
      Min((unit * kBlocks + arch.ClusterBlock()) * steps, params.work.capacity - steps);
  const auto words = arch.Global(reinterpret_cast<const U4*>(params.work.items),
                                 int64_t{params.work.capacity} * kStepWords);
  U4 word{0, 0, 0, 0};
  if (arch.Guard(arch.Thread() < steps * kStepWords)) {
    word = words.Load(int64_t{first} * kStepWords + arch.Thread());
  }
  return word;
}
template <class Arch>
CHORUS_DEVICE void StoreStepWord(Arch& arch, const LoraClusterParams& params, int32_t buffer,
                                 const U4& word) {
  const auto words = StepsOf(arch, buffer);
  if (arch.Guard(arch.Thread() < 2 * params.num_modules * kStepWords)) {
    words.Store(arch.Thread(), word);
  }
}

// Asks for a warp's tiles ahead of the work on them, through all turns of the block's units in
// order, as far as their steps are in shared memory.
template <class Arch, class Feeder>
class TurnsAhead {
 public:
  CHORUS_DEVICE TurnsAhead(Arch& arch, int32_t num_modules, Feeder& feed)
      : arch_(arch), num_modules_(num_modules), feed_(feed) {}

  // One unit more is there, in the other buffer than the one before.
  CHORUS_DEVICE void AddUnit() { ++units_; }

  // Until the feed is full. What was waited for has been read.
  CHORUS_DEVICE void Ask() {
    LoraItem item;
    CHORUS_NO_UNROLL while (feed_.HasRoom() && FindTurn(item)) {
      const bool is_expand = step_ >= num_modules_;
      TileRuns runs;
      if (is_expand) {
        runs = ExpandRunsOf(item, OutputBlocksOf(item, arch_.Warp(), turn_), done_);
        done_ += kWarpTiles;
      } else {
        const ShrinkPart part = ShrinkPartOf(item, arch_.Warp());
        runs = ShrinkRunsOf(item, part, InputBlocksOf(item, part, turn_));
      }
      feed_.Ask(item, runs);
      if (is_expand && done_ < item.rank_blocks) continue;
      done_ = 0;
      if (++turn_ < item.turns) continue;
      turn_ = 0;
      ++step_;
    }
  }

 private:
  // The step of the next turn. False: there is none yet.
  CHORUS_DEVICE bool FindTurn(LoraItem& item) {
    CHORUS_NO_UNROLL while (unit_ < units_) {
      if (step_ == 2 * num_modules_) {
        ++unit_;
        step_ = 0;
        continue;
      }
      item = LoadStep(arch_, unit_ % 2, step_);
      if (item.turns > 0) return true;
      ++step_;
    }
    return false;
  }

  Arch& arch_;
  const int32_t num_modules_;
  Feeder& feed_;
  int32_t units_ = 0;  // that are there, of those of this cluster
  int32_t unit_ = 0;
  int32_t step_ = 0;
  int32_t turn_ = 0;
  int32_t done_ = 0;  // rank blocks, of an expand's turn
};

CHORUS_DEVICE void Add(F4& sum, const F4& more) {
  sum.x += more.x;
  sum.y += more.y;
  sum.z += more.z;
  sum.w += more.w;
}

// Sums of the warps, as the MMA leaves them, where fragments of xA will be: [warp][rank
// block][lane].
template <class Arch>
CHORUS_DEVICE auto WarpSumsOf(Arch& arch) {
  return Shared<float>(arch, 0, kLoraWarps * kWarpRankBlocks * kWarpThreads * 4);
}
template <class Arch>
CHORUS_DEVICE void LeaveSums(Arch& arch, const ShrinkPart& part, const ShrinkSums& sums) {
  const auto shared = WarpSumsOf(arch);
  CHORUS_UNROLL for (int n = 0; n < kWarpRankBlocks; ++n) {
    if (n < part.rank_blocks) {
      shared.StoreFrom(F4{sums[n][0], sums[n][1], sums[n][2], sums[n][3]},
                       ((arch.Warp() * kWarpRankBlocks + n) * kWarpThreads + arch.Lane()) * 4);
    }
  }
}

// The block's sums of xA of a unit: [rank block][lane]. An MMA's result has the lanes and registers
// of the fragment that it becomes, so nothing changes places.
template <class Arch>
CHORUS_DEVICE auto BlockSumsOf(Arch& arch, int32_t buffer) {
  return Shared<float>(arch, kClusterSumsOffset + buffer * kClusterSums * 4, kClusterSums);
}
// Adds the warps' sums in the order of the warps, a rank block a warp.
template <class Arch>
CHORUS_DEVICE void AddWarps(Arch& arch, const LoraItem& item, int32_t buffer) {
  const auto of_warps = WarpSumsOf(arch);
  const auto of_block = BlockSumsOf(arch, buffer);
  const int32_t warps = 1 << item.warps_log;
  CHORUS_NO_UNROLL for (int32_t b = arch.Warp(); b < item.rank_blocks; b += kLoraWarps) {
    const int32_t first = b / kWarpRankBlocks << item.warps_log;
    F4 sum{0.0f, 0.0f, 0.0f, 0.0f};
    CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
      if (w < warps) {
        F4 of_warp;
        of_warps.LoadTo(
            of_warp,
            (((first + w) * kWarpRankBlocks + b % kWarpRankBlocks) * kWarpThreads + arch.Lane()) *
                4);
        Add(sum, of_warp);
      }
    }
    of_block.StoreFrom(sum, ((item.xa_column / kTileRanks + b) * kWarpThreads + arch.Lane()) * 4);
  }
}

// This lane's values of rank pair `pair` of a module, from all blocks of the cluster in their
// order. Rows that are not there are not moved.
template <int kBlocks, class Arch>
CHORUS_DEVICE void AddBlocks(Arch& arch, const LoraItem& item, int32_t pair, int32_t buffer,
                             PairValues& values) {
  constexpr int kAtOnce = 4;
  static_assert(kBlocks % kAtOnce == 0);
  const auto own = BlockSumsOf(arch, buffer);
  CHORUS_UNROLL for (int s = 0; s < 2; ++s) {
    const int32_t block = 2 * pair + s;
    const int at = ((item.xa_column / kTileRanks + block) * kWarpThreads + arch.Lane()) * 4;
    F4 sum{0.0f, 0.0f, 0.0f, 0.0f};
    if (arch.Guard(block < item.rank_blocks && arch.Lane() / 4 < item.rows)) {
      CHORUS_UNROLL for (int first = 0; first < kBlocks; first += kAtOnce) {
        F4 of_blocks[kAtOnce];
        CHORUS_UNROLL for (int i = 0; i < kAtOnce; ++i) {
          arch.Remote(own, first + i).LoadTo(of_blocks[i], at);
        }
        CHORUS_UNROLL for (int i = 0; i < kAtOnce; ++i) Add(sum, of_blocks[i]);
      }
    }
    values[2 * s] = F2{sum.x, sum.y};
    values[2 * s + 1] = F2{sum.z, sum.w};
  }
}

// Lays out xA of all modules of a unit. Behind the ClusterSync neither the sums of the warps nor
// the other buffer of sums are read any more.
template <class T, int kBlocks, class Arch>
CHORUS_DEVICE void FillFragments(Arch& arch, const LoraClusterParams& params, int32_t buffer) {
  PairValues values[kWarpPairs];
  PairRange ranges[kWarpPairs];
  uint32_t exponents[kWarpPairs][2];
  int32_t of_module[kWarpPairs];
  float scale[kWarpPairs];
  CHORUS_UNROLL for (int h = 0; h < kWarpPairs; ++h) {
    const int32_t pair = h * kLoraWarps + arch.Warp();
    ranges[h] = {0, 0};
    exponents[h][0] = exponents[h][1] = 127;
    CHORUS_NO_UNROLL for (int32_t m = 0; m < params.num_modules; ++m) {
      const LoraItem item = LoadStep(arch, buffer, params.num_modules + m);
      const int32_t first = item.xa_column / (2 * kTileRanks);
      const int32_t end = first + DivideUp<int32_t>(item.rank_blocks, 2);
      if (pair < first || pair >= end) continue;
      ranges[h] = {first, end};
      of_module[h] = m;
      scale[h] = item.scale;
      AddBlocks<kBlocks>(arch, item, pair - first, buffer, values[h]);
    }
  }
  if constexpr (std::is_same_v<T, F16>) {
    FindExponents(arch, kClusterSumsOffset + (1 - buffer) * kClusterSums * 4, values, ranges,
                  exponents);
  }
  CHORUS_UNROLL for (int h = 0; h < kWarpPairs; ++h) {
    const int32_t pair = h * kLoraWarps + arch.Warp();
    if (pair >= ranges[h].end) continue;
    StorePair<T>(arch, pair, values[h], exponents[h]);
    if (pair == ranges[h].first) StoreFactors(arch, of_module[h], scale[h], exponents[h]);
  }
}

template <class T, int kBlocks, class Arch>
CHORUS_DEVICE void LoraClusterBody(Arch& arch, const LoraClusterParams& params) {
  const int32_t clusters = arch.Grid() / kBlocks;
  int32_t unit = arch.Block() / kBlocks;
  // Not behind the count: steps that are none are not looked at.
  U4 step_word = FetchStepWord<kBlocks>(arch, params, unit);
  const int32_t units =
      arch.Global(params.work.count, 1).Load(0) / UnitSteps(kBlocks, params.num_modules);
  if (unit >= units) {
    arch.WaitForPrior();
    return;
  }
  WarpFeed<Arch, Feed::kBulk> feed(arch, params.work, kClusterFeedOffset);
  TurnsAhead<Arch, WarpFeed<Arch, Feed::kBulk>> ahead(arch, params.num_modules, feed);
  StoreStepWord(arch, params, 0, step_word);
  arch.Sync();
  ahead.AddUnit();
  ahead.Ask();
  arch.WaitForPrior();  // adapters do not come from it, but x does
  arch.LetNextBegin();
  CHORUS_NO_UNROLL for (int32_t buffer = 0; unit < units; buffer = 1 - buffer) {
    CHORUS_NO_UNROLL for (int32_t m = 0; m < params.num_modules; ++m) {
      const LoraItem item = LoadStep(arch, buffer, m);
      if (item.rank_blocks == 0) continue;
      const ShrinkPart part = ShrinkPartOf(item, arch.Warp());
      ShrinkSums sums;
      ClearSums(sums);
      CHORUS_NO_UNROLL for (int32_t turn = 0; turn < item.turns; ++turn) {
        // Two blocks of x at a time: for four there are no registers beside what runs ahead.
        AddTurn<2, T>(arch, params, item, part, InputBlocksOf(item, part, turn), feed, sums);
        ahead.Ask();
      }
      arch.Sync();  // what lay where the sums go has been read
      LeaveSums(arch, part, sums);
      arch.Sync();
      AddWarps(arch, item, buffer);
    }
    arch.ClusterSync();  // waits for what this thread loads, too, so the next steps come behind it
    unit += clusters;
    if (unit < units) step_word = FetchStepWord<kBlocks>(arch, params, unit);
    FillFragments<T, kBlocks>(arch, params, buffer);
    if (unit < units) StoreStepWord(arch, params, 1 - buffer, step_word);
    arch.Sync();
    if (unit < units) ahead.AddUnit();
    ahead.Ask();
    CHORUS_NO_UNROLL for (int32_t m = 0; m < params.num_modules; ++m) {
      const LoraItem item = LoadStep(arch, buffer, params.num_modules + m);
      float sums[4][4];
      CHORUS_NO_UNROLL for (int32_t turn = 0; turn < item.turns; ++turn) {
        const OutputBlocksPart blocks = OutputBlocksOf(item, arch.Warp(), turn);
        CHORUS_NO_UNROLL for (int32_t done = 0; done < item.rank_blocks; done += kWarpTiles) {
          RunTurn<T, float>(arch, params, item, blocks, done, item.xa_column / (2 * kTileRanks),
                            feed, feed.Wait(), sums);
          ahead.Ask();
        }
      }
    }
  }
  arch.ClusterSync();  // others may still be reading this block's sums
}

}  // namespace

CHORUS_CLUSTER_KERNEL(kLoraCluster4Bf16, LoraClusterParams, kLoraThreads, 2, 4,
                      (LoraClusterBody<Bf16, 4>(arch, params)))
CHORUS_CLUSTER_KERNEL(kLoraCluster4F16, LoraClusterParams, kLoraThreads, 2, 4,
                      (LoraClusterBody<F16, 4>(arch, params)))
CHORUS_CLUSTER_KERNEL(kLoraCluster8Bf16, LoraClusterParams, kLoraThreads, 2, 8,
                      (LoraClusterBody<Bf16, 8>(arch, params)))
CHORUS_CLUSTER_KERNEL(kLoraCluster8F16, LoraClusterParams, kLoraThreads, 2, 8,
                      (LoraClusterBody<F16, 8>(arch, params)))

}  // namespace chorus::kernels
