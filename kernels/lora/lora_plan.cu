#include "kernels/device/arch.h"
#include "kernels/lora/lora_plan_kernel.h"

namespace chorus::kernels {
namespace {

// What a block makes: the list of one layer, site and direction.
struct List {
  int32_t layer;
  const LoraSiteShape* site;
  bool expand;
};

CHORUS_DEVICE int32_t ModuleItems(const LoraPlanParams& params, const List& list, int32_t m,
                                  int32_t rank) {
  return list.expand ? ExpandItems(list.site->y_width[m], rank)
                     : ShrinkItems(list.site->inputs, rank, params.max_planes);
}

template <class Arch>
CHORUS_DEVICE LoraModuleEntry LoadEntry(Arch& arch, const LoraPlanParams& params, const List& list,
                                        int32_t slot, int32_t m) {
  const auto entries = arch.Global(params.table.entries, params.table.num_entries());
  return entries.Load(params.table.EntryIndex(slot, list.layer, list.site->modules[m]));
}

// Items of one piece of a segment of `slot`.
template <class Arch>
CHORUS_DEVICE int32_t PieceItems(Arch& arch, const LoraPlanParams& params, const List& list,
                                 int32_t slot) {
  if (params.cluster_blocks > 0 && list.expand) return 0;
  int32_t items = 0;
  UnitCut cut;
  CHORUS_NO_UNROLL for (int32_t m = 0; m < list.site->num_modules; ++m) {
    const int32_t rank = LoadEntry(arch, params, list, slot, m).rank;
    if (rank > 0) cut.Add(rank);
    items += ModuleItems(params, list, m, rank);
  }
  if (params.cluster_blocks == 0) return items;
  return cut.units * UnitSteps(params.cluster_blocks, list.site->num_modules);
}

// Item `index` of a piece: of those of its modules, one module after the other.
template <class Arch>
CHORUS_DEVICE LoraItem PieceItemAt(Arch& arch, const LoraPlanParams& params, const List& list,
                                   int32_t slot, int32_t index) {
  LoraItem item = {};
  int32_t xa_column = 0;
  CHORUS_NO_UNROLL for (int32_t m = 0; m < list.site->num_modules; ++m) {
    const LoraModuleEntry entry = LoadEntry(arch, params, list, slot, m);
    const int32_t items = ModuleItems(params, list, m, entry.rank);
    if (index >= 0 && index < items) {
      item = list.expand ? ExpandItemAt(entry, list.site->y_width[m], index)
                         : ShrinkItemAt(entry, list.site->inputs, params.max_planes, index);
      item.site_module = static_cast<uint8_t>(m);
      item.xa_column = static_cast<uint16_t>(xa_column);
    }
    index -= items;
    xa_column += RankBlocks(entry.rank) * kTileRanks;
  }
  return item;
}

// Step `index` of a piece, for clusters.
template <class Arch>
CHORUS_DEVICE LoraItem PieceStepAt(Arch& arch, const LoraPlanParams& params, const List& list,
                                   int32_t slot, int32_t index) {
  const int32_t num_modules = list.site->num_modules;
  const int32_t unit = index / UnitSteps(params.cluster_blocks, num_modules);
  index -= unit * UnitSteps(params.cluster_blocks, num_modules);
  const int32_t block = index / (2 * num_modules);
  index -= block * 2 * num_modules;
  const bool expand = index >= num_modules;
  const int32_t module = expand ? index - num_modules : index;
  LoraItem item = {};
  UnitCut cut;
  CHORUS_NO_UNROLL for (int32_t m = 0; m <= module; ++m) {
    const LoraModuleEntry entry = LoadEntry(arch, params, list, slot, m);
    if (entry.rank == 0) continue;
    cut.Add(entry.rank);
    if (m < module || cut.units - 1 != unit) continue;
    item = expand ? ClusterExpandAt(entry, list.site->y_width[m], block, params.cluster_blocks)
                  : ClusterShrinkAt(entry, list.site->inputs, block, params.cluster_blocks);
    item.site_module = static_cast<uint8_t>(m);
    item.xa_column = static_cast<uint16_t>(cut.first_pair * 2 * kTileRanks);
  }
  return item;
}

// Item `index` of a segment, or a part of it.
template <class Arch>
CHORUS_DEVICE LoraItem ItemAt(Arch& arch, const LoraPlanParams& params, const List& list,
                              const LoraSegment& segment, int32_t index, int32_t parts_log,
                              int32_t part) {
  const int32_t of_piece = PieceItems(arch, params, list, segment.slot);
  const int32_t piece = index / of_piece;
  index -= piece * of_piece;
  LoraItem item = params.cluster_blocks > 0 ? PieceStepAt(arch, params, list, segment.slot, index)
                                            : PieceItemAt(arch, params, list, segment.slot, index);
  if (parts_log > 0) item = ExpandPartOf(item, parts_log, part);
  item.slot = segment.slot;
  const int32_t cell = item.first_tile / params.tiles_per_cell;
  item.tile_in_cell = static_cast<uint16_t>(item.first_tile - cell * params.tiles_per_cell);
  CHORUS_UNROLL for (int c = 0; c < kItemCells; ++c) {
    item.cells[c] =
        static_cast<int32_t>(CellOf(arch, params.table, params.pool_ids, segment.slot, cell + c));
  }
  item.first_row = segment.first_row + piece * kPieceRows;
  item.rows = static_cast<uint8_t>(Min<int32_t>(kPieceRows, segment.num_rows - piece * kPieceRows));
  return item;
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

// Where each segment's items begin, in shared memory; returns their number. Each turn takes the
// next kLoraThreads segments: sums within the warps, then over the warps.
template <class Arch>
CHORUS_DEVICE int32_t FindBegins(Arch& arch, const LoraPlanParams& params, const List& list,
                                 int32_t count) {
  const auto segments = arch.Global(params.segments, params.max_segments);
  const auto begins = Shared<int32_t>(arch, 0, kMaxPlanSegments + 1);
  int32_t before = 0;
  CHORUS_NO_UNROLL for (int32_t turn = 0; turn * kLoraThreads < count; ++turn) {
    const int32_t s = turn * kLoraThreads + arch.Thread();
    int32_t items = 0;
    if (arch.Guard(s < count)) {
      const LoraSegment segment = segments.Load(s);
      items = PieceItems(arch, params, list, segment.slot) * Pieces(segment.num_rows);
    }
    const int32_t sum = WarpSum(arch, items);
    // Two buffers, so that one Sync a turn is enough.
    const auto sums =
        Shared<int32_t>(arch, kPlanSumsOffset + turn % 2 * kLoraWarps * 4, kLoraWarps);
    if (arch.Lane() == kWarpThreads - 1) sums.Store(arch.Warp(), sum);
    arch.Sync();
    int32_t total = 0;
    int32_t earlier = 0;
    CHORUS_UNROLL for (int w = 0; w < kLoraWarps; ++w) {
      if (w == arch.Warp()) earlier = total;
      total += sums.Load(w);
    }
    if (s < count) begins.Store(s, before + earlier + sum - items);
    before += total;
  }
  arch.Sync();
  return before;
}

// Which modules of each row have a rank at `layer`.
template <class Arch>
CHORUS_DEVICE void MarkRows(Arch& arch, const LoraPlanParams& params, int32_t layer) {
  const int32_t count = arch.Global(params.num_segments, 1).Load(0);
  const auto segments = arch.Global(params.segments, params.max_segments);
  const auto entries = arch.Global(params.table.entries, params.table.num_entries());
  const auto marks = arch.Global(params.row_modules, int64_t{params.lists.layers} * params.rows);
  CHORUS_NO_UNROLL for (int32_t row = arch.Thread(); row < params.rows; row += kLoraThreads) {
    int32_t low = 0;
    int32_t high = count;  // the first segment behind the row is in [low, high]
    CHORUS_NO_UNROLL while (low < high) {
      const int32_t middle = (low + high) / 2;
      if (segments.Load(middle).first_row <= row) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    uint32_t modules = 0;
    const LoraSegment segment = low > 0 ? segments.Load(low - 1) : LoraSegment{};
    if (row < segment.first_row + segment.num_rows) {
      CHORUS_UNROLL for (int32_t m = 0; m < kNumLoraModules; ++m) {
        const int32_t rank = entries.Load(params.table.EntryIndex(segment.slot, layer, m)).rank;
        modules |= (rank > 0 ? 1u : 0u) << m;
      }
    }
    marks.Store(int64_t{layer} * params.rows + row, modules);
  }
}

template <class Arch>
CHORUS_DEVICE void LoraPlanBody(Arch& arch, const LoraPlanParams& params) {
  const auto num_lists = static_cast<int32_t>(params.lists.num_lists());
  if (arch.Block() >= num_lists) return MarkRows(arch, params, arch.Block() - num_lists);
  const List list = {arch.Block() / (2 * kNumLoraSites),
                     &params.sites[arch.Block() / 2 % kNumLoraSites], arch.Block() % 2 != 0};
  const int32_t count = arch.Global(params.num_segments, 1).Load(0);
  const int32_t total = FindBegins(arch, params, list, count);
  const auto segments = arch.Global(params.segments, params.max_segments);
  const auto begins = Shared<int32_t>(arch, 0, kMaxPlanSegments + 1);
  const int32_t parts_log = list.expand ? ExpandPartsLog(total, params.spread) : 0;
  const int32_t capacity = params.lists.Capacity(arch.Block());
  CHORUS_DEVICE_DCHECK(total << parts_log <= capacity);
  const auto items = arch.Global(params.lists.ItemsOf(arch.Block()), capacity);
  CHORUS_NO_UNROLL for (int32_t i = arch.Thread(); i < total << parts_log; i += kLoraThreads) {
    const int32_t whole = i >> parts_log;
    int32_t low = 0;
    int32_t high = count;  // begins[low] <= whole < begins[high]
    CHORUS_NO_UNROLL while (high - low > 1) {
      const int32_t middle = (low + high) / 2;
      if (begins.Load(middle) <= whole) {
        low = middle;
      } else {
        high = middle;
      }
    }
    items.Store(i, ItemAt(arch, params, list, segments.Load(low), whole - begins.Load(low),
                          parts_log, i - (whole << parts_log)));
  }
  const auto counts = arch.Global(params.lists.counts, params.lists.num_lists());
  if (arch.Thread() == 0) counts.Store(arch.Block(), total << parts_log);
}

}  // namespace

CHORUS_KERNEL(kLoraPlan, LoraPlanParams, kLoraThreads, 1, LoraPlanBody(arch, params))

}  // namespace chorus::kernels
