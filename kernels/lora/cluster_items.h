// How the LoRA work of a step is cut for clusters of thread blocks, which make a delta in one
// launch (cluster_kernel.h). Pure functions, the same on host and device.
//
//   piece of a segment ─▶ units: modules whose ranks fit kMaxRankPairs together; mostly one unit
//   unit               ─▶ steps [blocks of the cluster][shrink, expand][modules of the site]
//
// A step is a LoraItem: block b's share of one module's A or B, an even part of its width. All
// steps of a unit are there, those of modules that are not its with rank_blocks = 0. As with other
// items, the cut depends on widths and ranks alone (the law), and on the cluster's size, which is
// chosen at start.
#ifndef CHORUS_KERNELS_LORA_CLUSTER_ITEMS_H_
#define CHORUS_KERNELS_LORA_CLUSTER_ITEMS_H_

#include "kernels/lora/lora_items.h"

namespace chorus::kernels {

CHORUS_HOST_DEVICE int32_t RankPairs(int32_t rank) {
  return DivideUp<int32_t>(RankBlocks(rank), 2);
}

// Steps of a unit.
CHORUS_HOST_DEVICE int32_t UnitSteps(int32_t cluster_blocks, int32_t num_modules) {
  return cluster_blocks * 2 * num_modules;
}

// The units of a piece: modules join them in the site's order.
struct UnitCut {
  int32_t units = 0;
  int32_t pairs = 0;       // of the last unit
  int32_t first_pair = 0;  // of the module that was added last, which is in the last unit

  // REQUIRES: rank > 0.
  CHORUS_HOST_DEVICE void Add(int32_t rank) {
    const int32_t more = RankPairs(rank);
    if (units == 0 || pairs + more > kMaxRankPairs) {
      ++units;
      pairs = 0;
    }
    first_pair = pairs;
    pairs += more;
  }
};

// The smallest power of two, at most 2^most, of which `warps` give `blocks` blocks.
CHORUS_HOST_DEVICE int32_t WarpBlocksLog(int32_t blocks, int32_t warps, int32_t most) {
  int32_t log = 0;
  while (log < most && warps << log < blocks) ++log;
  return log;
}

// Block `block`'s part of a module's blocks of 32 inputs or outputs, and its tiles from
// `first_tile` on.
CHORUS_HOST_DEVICE LoraItem ClusterPart(const LoraModuleEntry& entry, int32_t width,
                                        int32_t first_tile, int32_t block, int32_t cluster_blocks) {
  const int32_t blocks = WidthBlocks(width);
  LoraItem item = {};
  item.rank_blocks = static_cast<uint8_t>(RankBlocks(entry.rank));
  item.first_block = static_cast<uint16_t>(blocks * block / cluster_blocks);
  item.end_block = static_cast<uint16_t>(blocks * (block + 1) / cluster_blocks);
  item.first_tile = first_tile + item.first_block * item.rank_blocks;
  return item;
}
CHORUS_HOST_DEVICE LoraItem ClusterShrinkAt(const LoraModuleEntry& entry, int32_t inputs,
                                            int32_t block, int32_t cluster_blocks) {
  LoraItem item = ClusterPart(entry, inputs, entry.a_tile, block, cluster_blocks);
  item.warps_log = static_cast<uint8_t>(GroupWarpsLog(item.rank_blocks));
  item.blocks_log =
      static_cast<uint8_t>(WarpBlocksLog(DivideUp(WidthBlocks(inputs), cluster_blocks),
                                         1 << item.warps_log, InputBlocksLog(item.rank_blocks)));
  item.turns = static_cast<uint8_t>(DivideUp<int32_t>(item.end_block - item.first_block,
                                                      1 << (item.warps_log + item.blocks_log)));
  return item;
}
// Turns of an expand are ranges of outputs, each as often as kWarpTiles rank blocks fit its ranks.
CHORUS_HOST_DEVICE LoraItem ClusterExpandAt(const LoraModuleEntry& entry, int32_t width,
                                            int32_t block, int32_t cluster_blocks) {
  LoraItem item = ClusterPart(entry, width, entry.b_tile, block, cluster_blocks);
  item.blocks_log = static_cast<uint8_t>(WarpBlocksLog(
      DivideUp(WidthBlocks(width), cluster_blocks), kLoraWarps, OutputBlocksLog(item.rank_blocks)));
  item.turns = static_cast<uint8_t>(
      DivideUp<int32_t>(item.end_block - item.first_block, kLoraWarps << item.blocks_log));
  item.scale = entry.scale;
  item.bias_tile = entry.bias_tile;
  return item;
}

// Most turns of a step over `width` inputs and outputs up to `max_rank`: at most kMaxItemTurns.
CHORUS_HOST_DEVICE int32_t MostClusterTurns(int32_t width, int32_t max_rank,
                                            int32_t cluster_blocks) {
  const int32_t blocks = DivideUp(WidthBlocks(width), cluster_blocks);
  const int32_t of_turn = Min(TurnInputBlocks(RankBlocks(max_rank)), kLoraWarps);
  return DivideUp(blocks, of_turn);
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_CLUSTER_ITEMS_H_
