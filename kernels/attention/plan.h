// AttentionPlanner: cuts a step's attention into work items, one thread block per KV head each, as
// FlashInfer's FA2 paged prefill kernel reads them, with a shape that never depends on the batch.
//
// An item is (sequence, tile of query rows, chunk of keys). Query rows are packed: packed row i of
// a sequence is its row i / group, head i % group of the KV head's group, and a tile is `tile_rows`
// packed rows. All sequences are cut into chunks of one power of two of tokens: of those with which
// the items fit the smallest, or, of decodes, the one that fills the machine best. Chunks of a row
// are partial results; a merge adds them up:
//   partial of (sequence s, its row r, chunk c) = o_begin[s] + r · chunks(s) + c
//   partials of the launch's row i             = merge_begin[i] … merge_begin[i + 1]
// Two launches make a step: its decode rows, and its chunks of prompts (Kind).
//
// Thread-safe: a planner is constant, and Plan writes only where its caller says.
#ifndef CHORUS_KERNELS_ATTENTION_PLAN_H_
#define CHORUS_KERNELS_ATTENTION_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace chorus::kernels {

constexpr int32_t kMinChunkTokens = 128;  // blocks of the kernel take 64 to 256 in one round

struct AttentionLimits {
  enum class Kind : uint8_t { kDecode, kChunks };

  Kind kind = Kind::kDecode;  // kDecode: a sequence has at most one row
  int32_t heads = 0;          // query heads of this rank, a multiple of kv_heads
  int32_t kv_heads = 0;
  int32_t head_dim = 0;  // a multiple of 8, up to 256; a backend may have fewer sizes
  int32_t multiprocessors = 0;
  int32_t max_sequences = 0;
  int32_t max_rows = 0;  // of the launch, padding included
  // Launches are recorded in a graph: they split always, also where nothing needs to be. kDecode
  // always does.
  bool captured = true;
};

// Where a plan's arrays lie, in bytes from its start, which is 16-byte aligned, and what else a
// launch needs to know. All elements are int32, but for the last array's.
struct AttentionLayout {
  AttentionLimits limits;
  int32_t tile_rows = 0;
  int32_t max_items = 0;
  int32_t max_partials = 0;  // rows of partial results

  int32_t row_begin = 0;         // [max_sequences + 1] rows of q
  int32_t page_begin = 0;        // [max_sequences + 1] offsets into the step's page ids
  int32_t last_page_tokens = 0;  // [max_sequences] tokens of a sequence's last page
  int32_t o_begin = 0;           // [max_sequences + 1]
  int32_t merge_begin = 0;       // [max_rows + 1]
  int32_t item_sequence = 0;     // [max_items]
  int32_t item_row_tile = 0;     // [max_items]
  int32_t item_chunk = 0;        // [max_items]
  int32_t chunk_tokens = 0;      // [1]
  int32_t num_rows = 0;          // [1] max_rows: padding rows merge no partials and become zero
  int32_t item_valid = 0;        // [max_items] bytes, 1 or 0
  int32_t bytes = 0;             // a multiple of 16

  int32_t group() const { return limits.heads / limits.kv_heads; }
  // The device's workspace: partial outputs [max_partials, heads, head_dim] of the model's 16-bit
  // type, then from scores_offset() their log2-sum-exps [max_partials, heads] f32.
  int64_t scores_offset() const {
    return int64_t{max_partials} * limits.heads * limits.head_dim * 2;
  }
  int64_t workspace_bytes() const {
    return scores_offset() + int64_t{max_partials} * limits.heads * 4;
  }
};

// The sequences of a launch; those behind them, up to max_sequences, are empty.
struct AttentionBatch {
  std::span<const int32_t> row_begin;   // [sequences + 1] rows of the launch, from 0; a sequence's
                                        // rows are its newest tokens, in order
  std::span<const int32_t> page_begin;  // [sequences + 1] into the step's page ids
  std::span<const int32_t> tokens;      // [sequences] in its pages, those of its rows included
  // A power of two of at least kMinChunkTokens, to plan a batch with the chunks of another one, or
  // the smallest above it that fits; 0: the planner chooses.
  int32_t min_chunk_tokens = 0;
};

struct AttentionStep {
  int32_t num_items = 0;
  int32_t chunk_tokens = 0;
  bool split = true;  // false: no sequence has two chunks, and the kernel writes its output itself
};

class AttentionPlanner {
 public:
  // InvalidArgument when a limit makes no sense.
  static absl::StatusOr<AttentionPlanner> Create(const AttentionLimits& limits);

  const AttentionLayout& layout() const { return layout_; }

  // Writes every element of the plan to `plan`, layout().bytes of pinned memory, 16-byte aligned.
  // Allocates nothing unless it fails: InvalidArgument when the batch is beyond the limits or a
  // sequence's pages do not hold exactly its tokens.
  absl::StatusOr<AttentionStep> Plan(const AttentionBatch& batch, std::byte* plan) const;

 private:
  explicit AttentionPlanner(const AttentionLayout& layout) : layout_(layout) {}

  absl::Status Check(const AttentionBatch& batch) const;
  // Whether the batch's items and partial results fit with chunks of this size.
  bool Fits(const AttentionBatch& batch, int32_t chunk_tokens) const;
  // Roughly how long decodes take with chunks of this size, in tokens that a block reads.
  int64_t Cost(const AttentionBatch& batch, int32_t chunk_tokens) const;
  int32_t ChooseChunk(const AttentionBatch& batch) const;
  void WriteSequences(const AttentionBatch& batch, int32_t chunk_tokens, std::byte* plan) const;
  int32_t WriteItems(const AttentionBatch& batch, int32_t chunk_tokens, std::byte* plan) const;

  AttentionLayout layout_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_PLAN_H_
