// The xA of an item is added up, rounded and laid out by the whole block. Fragments:
// kernels/DESIGN.md.
#include <type_traits>

#include "kernels/device/arch.h"
#include "kernels/lora/block_items.h"
#include "kernels/lora/expand_fragments.h"
#include "kernels/lora/expand_turn.h"

namespace chorus::kernels {
namespace {

// This lane's values of rank pair `pair`, from all planes.
template <class Arch>
CHORUS_DEVICE void AddPlanes(Arch& arch, const LoraExpandParams& params, const LoraItem& item,
                             int32_t pair, PairValues& values) {
  constexpr int kAtOnce = 4;
  const int32_t num_planes =
      Planes(params.inputs, item.rank_blocks * kTileRanks, params.max_planes);
  const auto planes = arch.Global(params.planes.data, params.planes.count());
  CHORUS_UNROLL for (int i = 0; i < 4; ++i) values[i] = F2{0.0f, 0.0f};
  CHORUS_NO_UNROLL for (int32_t first = 0; first < num_planes; first += kAtOnce) {
    F2 loaded[4][kAtOnce];
    CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
      const int32_t row = arch.Lane() / 4 + 8 * (i % 2);
      const int32_t block = 2 * pair + i / 2;
      const int32_t column = item.xa_column + block * kTileRanks + arch.Lane() % 4 * 2;
      const bool inside = row < item.rows && block < item.rank_blocks;
      CHORUS_UNROLL for (int p = 0; p < kAtOnce; ++p) {
        loaded[i][p] = F2{0.0f, 0.0f};
        if (arch.Guard(inside && first + p < num_planes)) {
          planes.LoadTo(loaded[i][p], params.planes.Index(first + p, item.first_row + row, column));
        }
      }
    }
    CHORUS_UNROLL for (int i = 0; i < 4; ++i) {
      CHORUS_UNROLL for (int p = 0; p < kAtOnce; ++p) {
        values[i].x += loaded[i][p].x;
        values[i].y += loaded[i][p].y;
      }
    }
  }
}

// Lays out xA of the item's piece and module in shared memory.
template <class T, class Arch>
CHORUS_DEVICE void FillFragments(Arch& arch, const LoraExpandParams& params, const LoraItem& item) {
  const int32_t pairs = DivideUp<int32_t>(item.rank_blocks, 2);
  PairValues values[kWarpPairs];
  PairRange ranges[kWarpPairs];
  uint32_t exponents[kWarpPairs][2];
  CHORUS_UNROLL for (int h = 0; h < kWarpPairs; ++h) {
    const int32_t pair = h * kLoraWarps + arch.Warp();
    ranges[h] = {0, pair < pairs ? pairs : 0};
    if (pair < pairs) AddPlanes(arch, params, item, pair, values[h]);
    exponents[h][0] = exponents[h][1] = 127;
  }
  // Behind either Sync the fragments of the piece before are no longer read.
  if constexpr (std::is_same_v<T, F16>) {
    FindExponents(arch, kExpandExponentOffset, values, ranges, exponents);
  } else {
    arch.Sync();
  }
  CHORUS_UNROLL for (int h = 0; h < kWarpPairs; ++h) {
    const int32_t pair = h * kLoraWarps + arch.Warp();
    if (pair < pairs) StorePair<T>(arch, pair, values[h], exponents[h]);
  }
  if (arch.Warp() == 0) StoreFactors(arch, item.site_module, item.scale, exponents[0]);
  arch.Sync();
}

template <Feed kFeed, class T, class Out, class Arch>
CHORUS_DEVICE void LoraExpandBody(Arch& arch, const LoraExpandParams& params) {
  // One item for each of the first blocks. Not behind the count: an item that is none is not
  // looked at.
  int32_t begin = arch.Block();
  LoraItem next = LoadItem(arch, params.work, Min(begin, params.work.capacity - 1));
  const int64_t count = arch.Global(params.work.count, 1).Load(0);
  auto end = static_cast<int32_t>(Min<int64_t>(begin + 1, count));
  if (count > arch.Grid()) {
    // Items that follow one another: few pieces, and so few times their xA.
    begin = static_cast<int32_t>(count * arch.Block() / arch.Grid());
    end = static_cast<int32_t>(count * (arch.Block() + 1) / arch.Grid());
    next = LoadItem(arch, params.work, begin);
  }
  if (begin >= end) {
    // One block is enough, and what has nothing to do is to make room.
    if (arch.Block() == 0) arch.WaitForPrior();
    return;
  }
  WarpFeed<Arch, kFeed> feed(arch, params.work, kExpandFeedOffset);
  feed.Ask(next, ExpandRunsOf(next, OutputBlocksOf(next, arch.Warp(), 0), 0));
  const BlockItems<kFeed == Feed::kBulk ? kHeldItems : 0, Arch> items(
      arch, params.work, kExpandItemsOffset, begin, 1, end - begin);
  arch.WaitForPrior();  // adapters do not come from it, but the planes do
  arch.LetNextBegin();
  int32_t filled_row = -1;  // whose xA lies in shared memory
  int32_t filled_module = 0;
  CHORUS_NO_UNROLL for (int32_t i = begin; i < end; ++i) {
    const LoraItem item = next;
    const bool is_last = i + 1 == end;
    if (!is_last) next = items.At(i + 1 - begin);
    if (item.first_row != filled_row || item.site_module != filled_module) {
      FillFragments<T>(arch, params, item);
      filled_row = item.first_row;
      filled_module = item.site_module;
    }
    const OutputBlocksPart blocks = OutputBlocksOf(item, arch.Warp(), 0);
    float sums[4][4];
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < item.turns; ++turn) {
      if (turn + 1 < item.turns) {
        feed.Ask(item, ExpandRunsOf(item, blocks, (turn + 1) * kWarpTiles));
      } else if (!is_last) {
        feed.Ask(next, ExpandRunsOf(next, OutputBlocksOf(next, arch.Warp(), 0), 0));
      }
      RunTurn<T, Out>(arch, params, item, blocks, turn * kWarpTiles, 0, feed, feed.Wait(), sums);
    }
  }
}

}  // namespace

CHORUS_KERNEL(kLoraExpandBf16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, Bf16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandF16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, F16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandBf16Bf16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, Bf16, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraExpandF16F16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kBulk, F16, F16>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesBf16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, Bf16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesF16F32, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, F16, float>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesBf16Bf16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, Bf16, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraExpandLanesF16F16, LoraExpandParams, kLoraThreads, 2,
              (LoraExpandBody<Feed::kLanes, F16, F16>(arch, params)))

}  // namespace chorus::kernels
