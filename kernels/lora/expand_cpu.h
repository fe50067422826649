// The CPU backend of LoraExpand.
#ifndef CHORUS_KERNELS_LORA_EXPAND_CPU_H_
#define CHORUS_KERNELS_LORA_EXPAND_CPU_H_

#include "kernels/lora/expand.h"
#include "kernels/lora/tile_cursor.h"

namespace chorus::kernels {

// A segment times blocks [block_begin, block_end) of 32 outputs of one B.
struct ExpandPiece {
  const LoraSlot* slot = nullptr;
  const LoraModuleEntry* entry = nullptr;
  int64_t first_row = 0;
  int64_t num_rows = 0;
  int64_t block_begin = 0;
  int64_t block_end = 0;
  int64_t xa_column = 0;  // of the module's rank 0
  int64_t y_column = 0;   // of the module's output 0
  int64_t y_width = 0;
};

// `next` is what to ask for meanwhile.
void RunExpandPiece(const LoraExpandArgs& args, const ExpandPiece& piece, TileFetcher next);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_EXPAND_CPU_H_
