// The tile: the piece in which LoRA matrices lie in the page pool. 256 elements: 512 B in a 16-bit
// type, 1 KiB in f32.
//   A tile of A  = 8 ranks × 32 inputs, row-major by rank.
//   A tile of B  = 8 ranks × 32 outputs; on the CPU row-major by rank, so that outputs are lanes;
//                  on a device in the order of its MMA fragments (BTileOrder).
//   A vector tile = 256 consecutive elements (lora_bias).
// A matrix of rank r over `width` inputs (A) or outputs (B) is
//   [block of 32 along the width][block of 8 ranks],
// ⌈width/32⌉ · ⌈r/8⌉ tiles with zero-filled tails. A cell is a whole number of tiles, and tile t of
// an adapter lies in its cell t / tiles_per_cell, in fill order.
#ifndef CHORUS_KERNELS_LORA_TILES_H_
#define CHORUS_KERNELS_LORA_TILES_H_

#include <cstdint>

#include "kernels/checked.h"
#include "kernels/device/dtype.h"
#include "kernels/device/pool_view.h"

namespace chorus::kernels {

constexpr int kTileRanks = 8;
constexpr int kTileWidth = 32;
constexpr int kTileElements = kTileRanks * kTileWidth;
constexpr int kMaxLoraRank = 256;

constexpr int64_t TileBytes(DType type) { return kTileElements * ByteSize(type); }

// Tiles of one A (width = inputs) or B (width = outputs) matrix.
constexpr int64_t MatrixTiles(int64_t width, int64_t rank) {
  return CeilDiv<int64_t>(width, kTileWidth) * CeilDiv<int64_t>(rank, kTileRanks);
}

// Element of a tile of A, or of B in the CPU's order.
constexpr int32_t RankRowIndex(int32_t wide, int32_t rank) { return rank * kTileWidth + wide; }

// Element of a device's B tile: lane 4g + t, register b and half e of an MMA's fragments hold
// output 8 · (g / 2) + 2b + g % 2 and rank 2t + e, at byte 16 · lane + 4b + 2e; so a lane ends with
// eight neighbouring outputs of two rows.
constexpr int32_t DeviceBTileIndex(int32_t output, int32_t rank) {
  const int32_t group = output / 8 * 2 + output % 2;
  const int32_t lane = group * 4 + rank / 2;
  return lane * 8 + output % 8 / 2 * 2 + rank % 2;
}

constexpr int64_t VectorTiles(int64_t width) { return CeilDiv<int64_t>(width, kTileElements); }

// Less work than this many tiles is done before another worker has woken up.
constexpr int64_t kMinSharedTiles = 64;

inline int64_t TilesPerCell(const PoolView& pool) { return pool.cell_elements() / kTileElements; }

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_TILES_H_
