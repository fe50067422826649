// How the LoRA work of a step is cut into items for a device. An item is what one thread block does
// at a time: about kItemTiles tiles of one adapter, whatever its rank, for at most kPieceRows rows.
// The cut of a module depends on its shape and rank alone, never on who else is in the batch or on
// how many blocks run; so a row's sums are always made in the same order (the law).
//
//   shrink  (piece of a segment, module, group of 4, 2 or 1 rank blocks, plane = range of inputs)
//   expand  (piece of a segment, module, range of outputs)
//
// A plane is a partial sum of xA; the expand adds a module's planes in order.
#ifndef CHORUS_KERNELS_LORA_LORA_ITEMS_H_
#define CHORUS_KERNELS_LORA_LORA_ITEMS_H_

#include <cstdint>

#include "kernels/device/device_code.h"
#include "kernels/lora/slots.h"

namespace chorus::kernels {

constexpr int kPieceRows = 16;  // rows of an MMA
constexpr int kLoraWarps = 8;   // of a thread block
constexpr int kWarpTiles = 8;   // that a warp has in flight: 4 KiB
constexpr int kItemTiles = kLoraWarps * kWarpTiles;
constexpr int kLoraThreads = kLoraWarps * kWarpThreads;
constexpr int kMaxSiteModules = 3;
constexpr int kNumLoraSites = 4;  // qkv, o, gate_up, down

// A site as kernels see it.
struct LoraSiteShape {
  int32_t inputs = 0;  // a multiple of 8
  int32_t num_modules = 0;
  int32_t modules[kMaxSiteModules] = {};   // LoraModule
  int32_t y_column[kMaxSiteModules] = {};  // multiples of 8, as are the widths
  int32_t y_width[kMaxSiteModules] = {};
};

CHORUS_HOST_DEVICE int32_t RankBlocks(int32_t rank) { return DivideUp<int32_t>(rank, kTileRanks); }
CHORUS_HOST_DEVICE int32_t WidthBlocks(int32_t width) {
  return DivideUp<int32_t>(width, kTileWidth);
}
CHORUS_HOST_DEVICE int32_t Pieces(int32_t rows) { return DivideUp<int32_t>(rows, kPieceRows); }

// Rank blocks are cut from the front into groups of 4, then at most one of 2 and one of 1: an MMA
// loop has its accumulators in registers, so their number is a constant of the code.
struct RankGroup {
  int32_t first_block;
  int32_t blocks;  // 4, 2 or 1
};
CHORUS_HOST_DEVICE int32_t RankGroups(int32_t rank_blocks) {
  return rank_blocks / 4 + (rank_blocks & 2) / 2 + (rank_blocks & 1);
}
CHORUS_HOST_DEVICE RankGroup GroupAt(int32_t rank_blocks, int32_t group) {
  const int32_t fours = rank_blocks / 4;
  if (group < fours) return {4 * group, 4};
  if (group == fours && (rank_blocks & 2) != 0) return {4 * fours, 2};
  return {rank_blocks - 1, 1};
}

// Blocks of 32 inputs in one plane of a group of `group_blocks` rank blocks. `turns` is how many
// times over the warps of a block go: 1 where rows are few and the work is to be spread, more where
// there are many rows and planes cost more than they spread.
CHORUS_HOST_DEVICE int32_t PlaneBlocks(int32_t group_blocks, int32_t turns) {
  return turns * kItemTiles / group_blocks;
}
CHORUS_HOST_DEVICE int32_t Planes(int32_t inputs, int32_t group_blocks, int32_t turns) {
  return DivideUp(WidthBlocks(inputs), PlaneBlocks(group_blocks, turns));
}
// The most planes that any group of a site has.
CHORUS_HOST_DEVICE int32_t MaxPlanes(int32_t inputs, int32_t turns) {
  return Planes(inputs, 4, turns);
}

// Shrink items of one piece and module: (group, plane), planes innermost.
CHORUS_HOST_DEVICE int32_t ShrinkItems(int32_t inputs, int32_t rank, int32_t turns) {
  const int32_t blocks = RankBlocks(rank);
  return blocks / 4 * Planes(inputs, 4, turns) + (blocks & 2) / 2 * Planes(inputs, 2, turns) +
         (blocks & 1) * Planes(inputs, 1, turns);
}

// Blocks of 32 outputs in one expand item: at least one for each warp.
CHORUS_HOST_DEVICE int32_t ExpandBlocks(int32_t rank_blocks) {
  return kLoraWarps * Max<int32_t>(1, kWarpTiles / rank_blocks);
}
CHORUS_HOST_DEVICE int32_t ExpandItems(int32_t width, int32_t rank) {
  if (rank == 0) return 0;
  return DivideUp(WidthBlocks(width), ExpandBlocks(RankBlocks(rank)));
}

// What a block is told of an item: all that it needs but the page ids. Read in three accesses.
struct alignas(16) LoraItem {
  int32_t slot;
  int32_t num_ids;     // of the slot
  int32_t first_tile;  // of A or B at the item's first block, of the group's first ranks
  int32_t first_row;
  uint16_t rows;         // at most kPieceRows
  uint8_t rank_blocks;   // of the module
  uint8_t blocks;        // rank blocks of the group (shrink)
  uint16_t first_block;  // of 32 inputs or outputs
  uint16_t end_block;
  uint16_t xa_column;  // of the group's (shrink) or the module's (expand) rank 0
  uint8_t plane;       // shrink
  uint8_t site_module;
  float scale;        // expand
  int32_t bias_tile;  // expand; -1 without
  int32_t unused[3];
};
static_assert(sizeof(LoraItem) == 48);

// Item `index` among those of one piece at one module. `xa_column` is of the module's rank 0.
CHORUS_HOST_DEVICE LoraItem ShrinkItemAt(const LoraModuleEntry& entry, int32_t inputs,
                                         int32_t turns, int32_t xa_column, int32_t index) {
  const int32_t rank_blocks = RankBlocks(entry.rank);
  int32_t group = rank_blocks / 4;  // the groups of 4 have the most planes and come first
  int32_t plane = index;
  const int32_t of_four = Planes(inputs, 4, turns);
  if (plane < group * of_four) {
    group = plane / of_four;
    plane -= group * of_four;
  } else {
    plane -= group * of_four;
    const int32_t of_two = Planes(inputs, 2, turns);
    if ((rank_blocks & 2) != 0 && plane >= of_two) {
      plane -= of_two;
      ++group;
    }
  }
  const RankGroup ranks = GroupAt(rank_blocks, group);
  const int32_t plane_blocks = PlaneBlocks(ranks.blocks, turns);
  LoraItem item = {};
  item.rank_blocks = static_cast<uint8_t>(rank_blocks);
  item.blocks = static_cast<uint8_t>(ranks.blocks);
  item.plane = static_cast<uint8_t>(plane);
  item.first_block = static_cast<uint16_t>(plane * plane_blocks);
  item.end_block = static_cast<uint16_t>(Min((plane + 1) * plane_blocks, WidthBlocks(inputs)));
  item.first_tile = entry.a_tile + item.first_block * rank_blocks + ranks.first_block;
  item.xa_column = static_cast<uint16_t>(xa_column + ranks.first_block * kTileRanks);
  return item;
}
CHORUS_HOST_DEVICE LoraItem ExpandItemAt(const LoraModuleEntry& entry, int32_t width,
                                         int32_t xa_column, int32_t index) {
  const int32_t rank_blocks = RankBlocks(entry.rank);
  const int32_t item_blocks = ExpandBlocks(rank_blocks);
  LoraItem item = {};
  item.rank_blocks = static_cast<uint8_t>(rank_blocks);
  item.first_block = static_cast<uint16_t>(index * item_blocks);
  item.end_block = static_cast<uint16_t>(Min((index + 1) * item_blocks, WidthBlocks(width)));
  item.first_tile = entry.b_tile + item.first_block * rank_blocks;
  item.xa_column = static_cast<uint16_t>(xa_column);
  item.scale = entry.scale;
  item.bias_tile = entry.bias_tile;
  return item;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_ITEMS_H_
