#include "kernels/device/arch.h"
#include "kernels/lora/lora_plan_kernel.h"

namespace chorus::kernels {
namespace {

template <class Arch>
CHORUS_DEVICE int32_t ItemsOf(Arch& arch, const LoraPlanParams& params, const LoraSegment& segment,
                              int32_t layer, const LoraSiteShape& site, bool expand) {
  const auto entries = arch.Global(params.step.table.entries, params.step.table.num_entries());
  int32_t items = 0;
  CHORUS_NO_UNROLL for (int32_t m = 0; m < site.num_modules; ++m) {
    const int32_t rank =
        entries.Load(params.step.table.EntryIndex(segment.slot, layer, site.modules[m])).rank;
    items +=
        expand ? ExpandItems(site.y_width[m], rank) : ShrinkItems(site.inputs, rank, params.turns);
  }
  return items * Pieces(segment.num_rows);
}

// The sum of `value` over the lanes up to this one.
template <class Arch>
CHORUS_DEVICE int32_t WarpSum(Arch& arch, int32_t value) {
  const int lane = arch.Lane();
  CHORUS_NO_UNROLL for (int by = 1; by < kWarpThreads; by *= 2) {
    const auto before =
        static_cast<int32_t>(arch.Shfl(static_cast<uint32_t>(value), Max(lane - by, 0)));
    if (lane >= by) value += before;
  }
  return value;
}

// Each turn takes the next kLoraThreads segments: sums within the warps, then over the warps.
template <class Arch>
CHORUS_DEVICE void LoraPlanBody(Arch& arch, const LoraPlanParams& params) {
  const bool expand = arch.Block() % 2 != 0;
  const int32_t site_index = arch.Block() / 2 % kNumLoraSites;
  const int32_t layer = arch.Block() / (2 * kNumLoraSites);
  const LoraSiteShape& site = params.sites[site_index];
  const auto segments = arch.Global(params.step.segments, params.step.max_segments);
  const auto begins = arch.Global(params.step.item_begin, params.step.num_item_begins());
  const int64_t first = params.step.ItemBeginIndex(layer, site_index, expand);
  const int32_t count = arch.Global(params.step.num_segments, 1).Load(0);

  int32_t before = 0;
  CHORUS_NO_UNROLL for (int32_t turn = 0; turn * kLoraThreads < count; ++turn) {
    const int32_t s = turn * kLoraThreads + arch.Thread();
    int32_t items = 0;
    if (arch.Guard(s < count)) items = ItemsOf(arch, params, segments.Load(s), layer, site, expand);
    const int32_t sum = WarpSum(arch, items);
    // Two buffers, so that one Sync a turn is enough.
    const auto warp_sums = Shared<int32_t>(arch, turn % 2 * kLoraWarps * 4, kLoraWarps);
    if (arch.Lane() == kWarpThreads - 1) warp_sums.Store(arch.Warp(), sum);
    arch.Sync();
    int32_t total = 0;
    int32_t earlier = 0;
    CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
      if (w == arch.Warp()) earlier = total;
      total += warp_sums.Load(w);
    }
    const bool mine = s < count;
    if (arch.Guard(mine)) begins.Store(first + s, before + earlier + sum - items);
    before += total;
  }
  if (arch.Thread() == 0) begins.Store(first + count, before);
}

}  // namespace

CHORUS_KERNEL(kLoraPlan, LoraPlanParams, kLoraThreads, 1, LoraPlanBody(arch, params))

}  // namespace chorus::kernels
