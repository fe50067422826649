// How the LoRA work of a step is cut into items for a device. An item is what one thread block does
// at a time, for at most kPieceRows rows: kLoraWarps · kWarpTiles tiles of one adapter in a turn,
// whatever its rank, so items of all ranks are of about equal bytes. The cut of a module depends on
// its shape and rank alone, never on who else is in the batch or on how many blocks run; so a row's
// sums are always made in the same order (the law).
//
//   shrink  (piece of a segment, module, plane = range of inputs), one or more turns
//   expand  (piece of a segment, module, range of outputs), more than one turn above rank 64;
//           where a list has fewer items than blocks, each is cut once more, which no sum sees
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
constexpr int kLoraThreads = kLoraWarps * kWarpThreads;
constexpr int kWarpTiles = 8;       // of a warp in one turn: 4 KiB
constexpr int kWarpRankBlocks = 4;  // of a warp in a shrink: its sums are registers
constexpr int32_t kMaxRankPairs = kMaxLoraRank / (2 * kTileRanks);  // what an MMA of 16 takes
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

// Shrink: a warp has at most kWarpRankBlocks rank blocks; those with the same ones share the
// inputs. Numbers of warps and blocks are powers of two, kept as their logarithms: a division costs
// a GPU as much as a dozen loads.
CHORUS_HOST_DEVICE int32_t GroupWarpsLog(int32_t rank_blocks) {
  const int32_t groups = DivideUp<int32_t>(rank_blocks, kWarpRankBlocks);
  return groups == 1 ? 3 : groups == 2 ? 2 : groups <= 4 ? 1 : 0;
}
// Blocks of 32 inputs of a warp in one turn; of all warps it is these times the warps of a group.
CHORUS_HOST_DEVICE int32_t InputBlocksLog(int32_t rank_blocks) {
  return rank_blocks == 1 ? 3 : rank_blocks == 2 ? 2 : 1;
}
CHORUS_HOST_DEVICE int32_t TurnInputBlocks(int32_t rank_blocks) {
  return 1 << (GroupWarpsLog(rank_blocks) + InputBlocksLog(rank_blocks));
}
// Turns in one plane of a module, and its planes: at most `max_planes`, many where rows are few and
// the work is to be spread, few where there are many rows and planes cost more than they spread.
CHORUS_HOST_DEVICE int32_t PlaneTurns(int32_t inputs, int32_t rank_blocks, int32_t max_planes) {
  return DivideUp(DivideUp(WidthBlocks(inputs), TurnInputBlocks(rank_blocks)), max_planes);
}
CHORUS_HOST_DEVICE int32_t PlaneBlocks(int32_t inputs, int32_t rank_blocks, int32_t max_planes) {
  return PlaneTurns(inputs, rank_blocks, max_planes) * TurnInputBlocks(rank_blocks);
}
CHORUS_HOST_DEVICE int32_t Planes(int32_t inputs, int32_t rank, int32_t max_planes) {
  if (rank == 0) return 0;
  return DivideUp(WidthBlocks(inputs), PlaneBlocks(inputs, RankBlocks(rank), max_planes));
}

// Expand: blocks of 32 outputs of a warp, whole with all their ranks; and of all warps.
CHORUS_HOST_DEVICE int32_t OutputBlocksLog(int32_t rank_blocks) {
  return rank_blocks == 1 ? 3 : rank_blocks == 2 ? 2 : rank_blocks <= 4 ? 1 : 0;
}
CHORUS_HOST_DEVICE int32_t OutputBlocks(int32_t rank_blocks) {
  return kLoraWarps << OutputBlocksLog(rank_blocks);
}

// Items of one piece and module.
CHORUS_HOST_DEVICE int32_t ShrinkItems(int32_t inputs, int32_t rank, int32_t max_planes) {
  return Planes(inputs, rank, max_planes);
}
CHORUS_HOST_DEVICE int32_t ExpandItems(int32_t width, int32_t rank) {
  return rank == 0 ? 0 : DivideUp(WidthBlocks(width), OutputBlocks(RankBlocks(rank)));
}

// Of how many parts, as a logarithm, the expands of a list are, so that `items` become at most
// `spread`.
constexpr int kMaxPartsLog = 2;
CHORUS_HOST_DEVICE int32_t ExpandPartsLog(int32_t items, int32_t spread) {
  int32_t log = 0;
  while (log < kMaxPartsLog && items << (log + 1) <= spread) ++log;
  return log;
}

// Cells that an item names itself; what lies further is looked up.
constexpr int kItemCells = 3;
constexpr int kMaxItemTurns = 255;

// What a block is told of an item.
struct alignas(16) LoraItem {
  int32_t slot;
  int32_t first_row;
  int32_t first_tile;         // of A or B at the item's first block
  int32_t cells[kItemCells];  // of the pool: that of first_tile and those that follow
  uint16_t tile_in_cell;      // first_tile's place in the first cell
  uint16_t xa_column;         // of the module's rank 0
  uint16_t first_block;       // of 32 inputs or outputs
  uint16_t end_block;
  uint8_t rows;         // at most kPieceRows
  uint8_t turns;        // that a warp takes for its tiles, at most kMaxItemTurns
  uint8_t rank_blocks;  // of the module
  uint8_t blocks_log;   // of 32 inputs or outputs, of a warp in a turn
  uint8_t warps_log;    // of a group (shrink)
  uint8_t plane;        // shrink
  uint8_t site_module;
  uint8_t unused;
  float scale;        // expand
  int32_t bias_tile;  // expand; -1 without
};
static_assert(sizeof(LoraItem) == 48);

// An item as it is read, in three accesses.
struct LoraItemWords {
  static constexpr int kCount = sizeof(LoraItem) / sizeof(U4);
  U4 words[kCount];
};

// Item `index` among those of one piece at one module.
CHORUS_HOST_DEVICE LoraItem ItemAt(const LoraModuleEntry& entry, int32_t width, int32_t item_blocks,
                                   int32_t first_tile, int32_t index) {
  LoraItem item = {};
  item.rank_blocks = static_cast<uint8_t>(RankBlocks(entry.rank));
  item.first_block = static_cast<uint16_t>(index * item_blocks);
  item.end_block = static_cast<uint16_t>(Min((index + 1) * item_blocks, WidthBlocks(width)));
  item.first_tile = first_tile + item.first_block * item.rank_blocks;
  item.scale = entry.scale;
  item.bias_tile = entry.bias_tile;
  return item;
}
CHORUS_HOST_DEVICE LoraItem ShrinkItemAt(const LoraModuleEntry& entry, int32_t inputs,
                                         int32_t max_planes, int32_t index) {
  const int32_t blocks = RankBlocks(entry.rank);
  LoraItem item =
      ItemAt(entry, inputs, PlaneBlocks(inputs, blocks, max_planes), entry.a_tile, index);
  item.turns =
      static_cast<uint8_t>(DivideUp(item.end_block - item.first_block, TurnInputBlocks(blocks)));
  item.blocks_log = static_cast<uint8_t>(InputBlocksLog(blocks));
  item.warps_log = static_cast<uint8_t>(GroupWarpsLog(blocks));
  item.plane = static_cast<uint8_t>(index);
  return item;
}
CHORUS_HOST_DEVICE LoraItem ExpandItemAt(const LoraModuleEntry& entry, int32_t width,
                                         int32_t index) {
  const int32_t blocks = RankBlocks(entry.rank);
  LoraItem item = ItemAt(entry, width, OutputBlocks(blocks), entry.b_tile, index);
  item.turns = static_cast<uint8_t>(DivideUp<int32_t>(blocks, kWarpTiles));
  item.blocks_log = static_cast<uint8_t>(OutputBlocksLog(blocks));
  return item;
}
// Part `part` of an expand that is cut into 1 << `parts_log`; the last ones may be empty.
CHORUS_HOST_DEVICE LoraItem ExpandPartOf(LoraItem item, int32_t parts_log, int32_t part) {
  const int32_t blocks = OutputBlocks(item.rank_blocks) >> parts_log;
  const int32_t first = Min<int32_t>(item.first_block + part * blocks, item.end_block);
  item.first_tile += (first - item.first_block) * item.rank_blocks;
  item.end_block = static_cast<uint16_t>(Min<int32_t>(first + blocks, item.end_block));
  item.first_block = static_cast<uint16_t>(first);
  item.blocks_log = static_cast<uint8_t>(Max(0, item.blocks_log - parts_log));
  return item;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_LORA_ITEMS_H_
