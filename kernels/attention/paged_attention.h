// PagedAttention: causal softmax(q Kᵀ · scale) V over each row's own sequence, K and V in pages.
#ifndef CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_H_
#define CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

struct PagedAttentionArgs {
  TensorView q;                         // [rows, >= heads · head_dim] f32, rotated
  std::span<const int32_t> positions;   // [rows]; row r sees positions 0 … positions[r]
  std::span<const int32_t> rows;        // [rows] a permutation: a sequence's rows are adjacent and
                                        // ascend in position
  std::span<const int32_t> row_begin;   // [sequences + 1] offsets into `rows`
  std::span<const int32_t> page_ids;    // each sequence's pages, in order of position
  std::span<const int32_t> page_begin;  // [sequences + 1] offsets into `page_ids`
  int32_t heads = 0;                    // a multiple of pool.kv_heads
  float scale = 1.0f;
  PoolView pool;
  int32_t slab = 0;
  TensorView y;  // [rows, heads · head_dim] f32 or bf16, overwritten
};

// A row's sum runs page by page in order of position (an online softmax over pages), so its bits
// do not depend on chunking, neighbours or threads. Pages that no row may see are not read, nor are
// tokens behind a row's position. InvalidArgument when shapes or types do not fit.
absl::Status PagedAttention(const PagedAttentionArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_H_
