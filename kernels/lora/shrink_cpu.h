// The CPU backend of LoraShrink: micro-kernels over tiles, and the walk that shares them out.
#ifndef CHORUS_KERNELS_LORA_SHRINK_CPU_H_
#define CHORUS_KERNELS_LORA_SHRINK_CPU_H_

#include "kernels/device/compute_pool.h"
#include "kernels/lora/shrink.h"
#include "kernels/lora/tile_cursor.h"

namespace chorus::kernels {

// Rows that pass over an A matrix together, so that its tiles are read from memory once.
constexpr int kShrinkChunkRows = 32;

// A few rows of one segment times rank blocks [block_begin, block_end) of one A.
struct ShrinkPiece {
  const LoraSlot* slot = nullptr;
  const LoraModuleEntry* entry = nullptr;
  int64_t first_row = 0;
  int64_t num_rows = 0;
  int64_t block_begin = 0;
  int64_t block_end = 0;
  int64_t xa_column = 0;  // of the module's rank 0
};

// `next` is what to ask for meanwhile.
void ShrinkPieceF32(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next);
void ShrinkPieceBf16(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next);
// REQUIRES: CpuHasBf16().
void ShrinkPieceAvx512Bf16(const LoraShrinkArgs& args, const ShrinkPiece& piece, TileFetcher next);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_SHRINK_CPU_H_
