// Fragments and the order of sums: kernels/DESIGN.md.
#include "kernels/device/arch.h"
#include "kernels/lora/block_items.h"
#include "kernels/lora/shrink_kernel.h"
#include "kernels/lora/shrink_turn.h"

namespace chorus::kernels {
namespace {

template <class Arch>
CHORUS_DEVICE auto WarpSumsOf(Arch& arch, int buffer) {
  return Shared<float>(arch, buffer * kWarpSumsBytes, kLoraWarps * kWarpSums);
}

template <class Arch>
CHORUS_DEVICE void LeaveSums(Arch& arch, const ShrinkPart& part, int buffer,
                             const ShrinkSums& sums) {
  const auto shared = WarpSumsOf(arch, buffer);
  constexpr int kRow = kWarpRankBlocks * kTileRanks;
  const int at = arch.Warp() * kWarpSums + arch.Lane() / 4 * kRow + arch.Lane() % 4 * 2;
  CHORUS_UNROLL for (int n = 0; n < kWarpRankBlocks; ++n) {
    if (n < part.rank_blocks) {
      shared.StoreFrom(F2{sums[n][0], sums[n][1]}, at + n * kTileRanks);
      shared.StoreFrom(F2{sums[n][2], sums[n][3]}, at + 8 * kRow + n * kTileRanks);
    }
  }
}

// Adds the warps' sums, in the order of the warps, to the item's plane: a warp takes every
// kLoraWarps-th row, a lane every kWarpThreads-th rank.
template <class Arch>
CHORUS_DEVICE void StorePlane(Arch& arch, const LoraShrinkParams& params, const LoraItem& item,
                              int buffer) {
  const auto shared = WarpSumsOf(arch, buffer);
  const auto planes = arch.Global(params.planes.data, params.planes.count());
  constexpr int kRow = kWarpRankBlocks * kTileRanks;
  const int32_t warps = 1 << item.warps_log;
  CHORUS_NO_UNROLL for (int row = arch.Warp(); row < item.rows; row += kLoraWarps) {
    CHORUS_NO_UNROLL for (int rank = arch.Lane(); rank < item.rank_blocks * kTileRanks;
                          rank += kWarpThreads) {
      const int first = rank / kRow * warps * kWarpSums + row * kRow + rank % kRow;
      float sum = 0.0f;
      CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
        if (w < warps) sum += shared.Load(first + w * kWarpSums);
      }
      planes.Store(params.planes.Index(item.plane, item.first_row + row, item.xa_column + rank),
                   sum);
    }
  }
}

template <Feed kFeed, class T, class Arch>
CHORUS_DEVICE void LoraShrinkBody(Arch& arch, const LoraShrinkParams& params) {
  constexpr int kBuffers = kFeed == Feed::kBulk ? 2 : 1;
  // Not behind the count: an item that is none is not looked at.
  LoraItem next = LoadItem(arch, params.work, Min(arch.Block(), params.work.capacity - 1));
  const int32_t count = arch.Global(params.work.count, 1).Load(0);
  if (arch.Block() >= count) {
    // One block is enough, and what has nothing to do is to make room.
    if (arch.Block() == 0) arch.WaitForPrior();
    return;
  }
  WarpFeed<Arch, kFeed> feed(arch, params.work, kBuffers * kWarpSumsBytes);
  ShrinkPart next_part = ShrinkPartOf(next, arch.Warp());
  feed.Ask(next, ShrinkRunsOf(next, next_part, InputBlocksOf(next, next_part, 0)));
  const int32_t own_items = DivideUp(count - arch.Block(), arch.Grid());
  const BlockItems<kFeed == Feed::kBulk ? kHeldItems : 0, Arch> items(
      arch, params.work, kBuffers * kWarpSumsBytes + kFeedBytes, arch.Block(), arch.Grid(),
      own_items);
  arch.WaitForPrior();  // adapters do not come from it, but x does
  arch.LetNextBegin();
  int buffer = 0;
  CHORUS_NO_UNROLL for (int32_t i = 0; i < own_items; ++i) {
    const LoraItem item = next;
    const ShrinkPart part = next_part;
    const bool is_last = i + 1 == own_items;
    if (!is_last) {
      next = items.At(i + 1);
      next_part = ShrinkPartOf(next, arch.Warp());
    }
    ShrinkSums sums;
    ClearSums(sums);
    CHORUS_NO_UNROLL for (int32_t turn = 0; turn < item.turns; ++turn) {
      if (turn + 1 < item.turns) {
        feed.Ask(item, ShrinkRunsOf(item, part, InputBlocksOf(item, part, turn + 1)));
      } else if (!is_last) {
        feed.Ask(next, ShrinkRunsOf(next, next_part, InputBlocksOf(next, next_part, 0)));
      }
      AddTurn<4, T>(arch, params, item, part, InputBlocksOf(item, part, turn), feed, sums);
    }
    if constexpr (kBuffers == 1) arch.Sync();  // the sums of the item before have been read
    LeaveSums(arch, part, buffer, sums);
    arch.Sync();
    StorePlane(arch, params, item, buffer);
    buffer = kBuffers - 1 - buffer;
  }
}

}  // namespace

CHORUS_KERNEL(kLoraShrinkBf16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kBulk, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraShrinkF16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kBulk, F16>(arch, params)))
CHORUS_KERNEL(kLoraShrinkLanesBf16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kLanes, Bf16>(arch, params)))
CHORUS_KERNEL(kLoraShrinkLanesF16, LoraShrinkParams, kLoraThreads, 2,
              (LoraShrinkBody<Feed::kLanes, F16>(arch, params)))

}  // namespace chorus::kernels
