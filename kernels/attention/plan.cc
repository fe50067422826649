#include "kernels/attention/plan.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/device/pool_view.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

using Kind = AttentionLimits::Kind;

constexpr int32_t kDecodeTile = 16;
// Items beyond one per tile, per multiprocessor that a KV head gets: what long sequences may be cut
// into. Decode rows read their keys once each, so only items spread a long one over the machine;
// prompts have tiles enough when they are long.
constexpr int32_t kDecodeSpread = 8;
constexpr int32_t kChunkSpread = 2;
constexpr int32_t kMaxCount = 1 << 20;  // of heads, rows, sequences: keeps products within 64 bits
// What a choice of chunks costs: decode blocks that a multiprocessor holds, by their registers;
// what a block takes beside its keys, as tokens of keys that it reads while the others read theirs.
// On an H200 64 and 256 sequences of 512 tokens took 48 and 142 us, in chunks of 256 and of 512.
constexpr int32_t kResidentBlocks = 2;
constexpr int64_t kBlockTokens = 160;
// The kernel counts tokens, also those of all pages listed, in 32 bits.
constexpr int32_t kMaxTokens = 1 << 30;
constexpr int32_t kMaxPages = 1 << 27;

absl::Status Refuse(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("AttentionPlan: ", what));
}

absl::Status CheckCount(absl::string_view name, int32_t value) {
  if (value >= 1 && value <= kMaxCount) return absl::OkStatus();
  return Refuse(absl::StrCat(name, " is ", value, ", want 1 to ", kMaxCount));
}

absl::Status CheckLimits(const AttentionLimits& limits) {
  CHORUS_RETURN_IF_ERROR(CheckCount("heads", limits.heads));
  CHORUS_RETURN_IF_ERROR(CheckCount("kv_heads", limits.kv_heads));
  CHORUS_RETURN_IF_ERROR(CheckCount("multiprocessors", limits.multiprocessors));
  CHORUS_RETURN_IF_ERROR(CheckCount("max_sequences", limits.max_sequences));
  CHORUS_RETURN_IF_ERROR(CheckCount("max_rows", limits.max_rows));
  if (limits.heads % limits.kv_heads != 0) {
    return Refuse(absl::StrCat("heads is ", limits.heads, ", want a multiple of the ",
                               limits.kv_heads, " KV heads"));
  }
  if (limits.head_dim < 8 || limits.head_dim > 256 || limits.head_dim % 8 != 0) {
    return Refuse(
        absl::StrCat("head_dim is ", limits.head_dim, ", want a multiple of 8, up to 256"));
  }
  return absl::OkStatus();
}

// Of the sizes that the kernel has: 128 packed rows once such tiles fill the machine, else 64,
// which gives small prompts twice the blocks. A head of 256 leaves no registers for 128.
int32_t TileRows(const AttentionLimits& limits) {
  if (limits.kind == Kind::kDecode) return kDecodeTile;
  const int64_t packed = int64_t{limits.max_rows} * (limits.heads / limits.kv_heads);
  const int64_t blocks = CeilDiv<int64_t>(packed, 128) * limits.kv_heads;
  return limits.head_dim < 256 && blocks >= limits.multiprocessors ? 128 : 64;
}

// Arrays one behind the other, each 16-byte aligned.
class Layouter {
 public:
  int32_t Place(int64_t bytes) {
    const int64_t at = end_;
    end_ = RoundUp<int64_t>(end_ + bytes, 16);
    return static_cast<int32_t>(at);
  }
  int64_t end() const { return end_; }

 private:
  int64_t end_ = 0;
};

int32_t* Array(std::byte* plan, int32_t offset) {
  return reinterpret_cast<int32_t*>(plan + offset);
}

}  // namespace

absl::StatusOr<AttentionPlanner> AttentionPlanner::Create(const AttentionLimits& limits) {
  CHORUS_RETURN_IF_ERROR(CheckLimits(limits));
  AttentionLayout layout;
  layout.limits = limits;
  layout.limits.captured = limits.captured || limits.kind == Kind::kDecode;
  layout.tile_rows = TileRows(limits);
  // Every mix fits with chunks as long as the longest sequence: Σ ⌈rows · group / tile⌉ is at most
  // ⌈Σ rows · group / tile⌉ and one more for each further sequence.
  const bool decode = limits.kind == Kind::kDecode;
  const int64_t group = layout.group();
  const int64_t tiles =
      decode
          ? std::min(limits.max_sequences, limits.max_rows) * CeilDiv<int64_t>(group, kDecodeTile)
          : CeilDiv(limits.max_rows * group, int64_t{layout.tile_rows}) + limits.max_sequences - 1;
  const int64_t spread = int64_t{decode ? kDecodeSpread : kChunkSpread} *
                         CeilDiv(limits.multiprocessors, limits.kv_heads);
  const int64_t items = tiles + spread;
  // An item more is one more partial result of each row in its tile.
  const int64_t partials =
      limits.max_rows + spread * (decode ? 1 : CeilDiv(int64_t{layout.tile_rows}, group));

  Layouter place;
  layout.row_begin = place.Place(4 * (int64_t{limits.max_sequences} + 1));
  layout.page_begin = place.Place(4 * (int64_t{limits.max_sequences} + 1));
  layout.last_page_tokens = place.Place(4 * int64_t{limits.max_sequences});
  layout.o_begin = place.Place(4 * (int64_t{limits.max_sequences} + 1));
  layout.merge_begin = place.Place(4 * (int64_t{limits.max_rows} + 1));
  layout.item_sequence = place.Place(4 * items);
  layout.item_row_tile = place.Place(4 * items);
  layout.item_chunk = place.Place(4 * items);
  layout.chunk_tokens = place.Place(4);
  layout.num_rows = place.Place(4);
  layout.item_valid = place.Place(items);
  const auto bytes = CheckedCast<int32_t>(place.end());
  const auto max_partials = CheckedCast<int32_t>(partials);
  if (!bytes.has_value() || !max_partials.has_value()) {
    return Refuse(absl::StrCat("a plan of ", items, " items and ", partials, " partial rows"));
  }
  layout.bytes = *bytes;
  layout.max_items = static_cast<int32_t>(items);
  layout.max_partials = *max_partials;
  return AttentionPlanner(layout);
}

absl::Status AttentionPlanner::Check(const AttentionBatch& batch) const {
  const AttentionLimits& limits = layout_.limits;
  const size_t sequences = batch.tokens.size();
  if (batch.row_begin.size() != sequences + 1 || batch.page_begin.size() != sequences + 1 ||
      sequences > static_cast<size_t>(limits.max_sequences)) {
    return Refuse(absl::StrCat(sequences, " sequences with ", batch.row_begin.size(), " row and ",
                               batch.page_begin.size(),
                               " page offsets, want one more of each, and ", "at most ",
                               limits.max_sequences, " sequences"));
  }
  if (batch.row_begin.front() != 0 || batch.row_begin.back() > limits.max_rows) {
    return Refuse(absl::StrCat("rows from ", batch.row_begin.front(), " to ",
                               batch.row_begin.back(), ", want 0 to at most ", limits.max_rows));
  }
  if (batch.min_chunk_tokens != 0 &&
      (batch.min_chunk_tokens < kMinChunkTokens ||
       !std::has_single_bit(static_cast<uint32_t>(batch.min_chunk_tokens)))) {
    return Refuse(absl::StrCat("min_chunk_tokens is ", batch.min_chunk_tokens,
                               ", want a power of two of at least ", kMinChunkTokens));
  }
  for (size_t s = 0; s < sequences; ++s) {
    const int64_t rows = int64_t{batch.row_begin[s + 1]} - batch.row_begin[s];
    const int64_t pages = int64_t{batch.page_begin[s + 1]} - batch.page_begin[s];
    const int64_t tokens = batch.tokens[s];
    if (rows < 0 || rows > tokens || (limits.kind == Kind::kDecode && rows > 1) ||
        tokens > kMaxTokens || pages != CeilDiv<int64_t>(tokens, kPageTokens) ||
        batch.page_begin[s] < 0 || batch.page_begin[s + 1] > kMaxPages) {
      return Refuse(absl::StrCat("sequence ", s, " has ", rows, " rows, ", tokens, " tokens and ",
                                 pages, " pages of ", kPageTokens, " from ", batch.page_begin[s]));
    }
  }
  return absl::OkStatus();
}

bool AttentionPlanner::Fits(const AttentionBatch& batch, int32_t chunk_tokens) const {
  int64_t items = 0;
  int64_t partials = 0;
  for (size_t s = 0; s < batch.tokens.size(); ++s) {
    const int64_t rows = batch.row_begin[s + 1] - batch.row_begin[s];
    const int64_t chunks = CeilDiv<int64_t>(batch.tokens[s], chunk_tokens);
    items += CeilDiv<int64_t>(rows * layout_.group(), layout_.tile_rows) * chunks;
    partials += rows * chunks;
  }
  return items <= layout_.max_items && partials <= layout_.max_partials;
}

int64_t AttentionPlanner::Cost(const AttentionBatch& batch, int32_t chunk_tokens) const {
  int64_t items = 0;
  int64_t tokens = 0;
  int64_t longest = 0;
  for (size_t s = 0; s < batch.tokens.size(); ++s) {
    if (batch.row_begin[s] == batch.row_begin[s + 1]) continue;
    items += CeilDiv<int64_t>(batch.tokens[s], chunk_tokens);
    tokens += batch.tokens[s];
    longest = std::max<int64_t>(longest, std::min(batch.tokens[s], chunk_tokens));
  }
  if (items == 0) return 0;
  const AttentionLimits& limits = layout_.limits;
  const int64_t waves =
      CeilDiv(items * limits.kv_heads, int64_t{kResidentBlocks} * limits.multiprocessors);
  return std::max(longest + kBlockTokens, waves * (tokens / items + kBlockTokens));
}

int32_t AttentionPlanner::ChooseChunk(const AttentionBatch& batch) const {
  int32_t chunk = kMinChunkTokens;
  while (!Fits(batch, chunk)) {
    CHORUS_CHECK_LT(chunk, kMaxTokens);  // one chunk a sequence always fits
    chunk *= 2;
  }
  if (layout_.limits.kind != Kind::kDecode || batch.tokens.empty()) return chunk;
  const int32_t most = *std::max_element(batch.tokens.begin(), batch.tokens.end());
  int32_t best = chunk;
  int64_t cost = Cost(batch, chunk);
  while (chunk < most) {
    chunk *= 2;
    const int64_t of_chunk = Cost(batch, chunk);
    if (of_chunk >= cost) continue;
    best = chunk;
    cost = of_chunk;
  }
  return best;
}

absl::StatusOr<AttentionStep> AttentionPlanner::Plan(const AttentionBatch& batch,
                                                     std::byte* plan) const {
  CHORUS_RETURN_IF_ERROR(Check(batch));
  AttentionStep step;
  step.chunk_tokens = batch.min_chunk_tokens;
  if (step.chunk_tokens == 0) step.chunk_tokens = ChooseChunk(batch);
  while (!Fits(batch, step.chunk_tokens)) step.chunk_tokens *= 2;
  WriteSequences(batch, step.chunk_tokens, plan);
  step.num_items = WriteItems(batch, step.chunk_tokens, plan);
  const int32_t partials = Array(plan, layout_.o_begin)[layout_.limits.max_sequences];
  step.split = layout_.limits.captured || partials > batch.row_begin.back();
  return step;
}

void AttentionPlanner::WriteSequences(const AttentionBatch& batch, int32_t chunk_tokens,
                                      std::byte* plan) const {
  int32_t* const row_begin = Array(plan, layout_.row_begin);
  int32_t* const page_begin = Array(plan, layout_.page_begin);
  int32_t* const last_page_tokens = Array(plan, layout_.last_page_tokens);
  int32_t* const o_begin = Array(plan, layout_.o_begin);
  int32_t* const merge_begin = Array(plan, layout_.merge_begin);
  const auto sequences = static_cast<int32_t>(batch.tokens.size());
  int32_t row = 0;
  int32_t partial = 0;
  for (int32_t s = 0; s < layout_.limits.max_sequences; ++s) {
    const auto i = static_cast<size_t>(std::min(s, sequences));
    row_begin[s] = batch.row_begin[i];
    page_begin[s] = batch.page_begin[i];
    o_begin[s] = partial;
    last_page_tokens[s] = 0;
    if (s >= sequences) continue;
    const int32_t tokens = batch.tokens[i];
    const int32_t chunks = static_cast<int32_t>(CeilDiv<int64_t>(tokens, chunk_tokens));
    if (tokens > 0) last_page_tokens[s] = (tokens - 1) % kPageTokens + 1;
    for (; row < batch.row_begin[i + 1]; ++row, partial += chunks) merge_begin[row] = partial;
  }
  row_begin[layout_.limits.max_sequences] = batch.row_begin.back();
  page_begin[layout_.limits.max_sequences] = batch.page_begin.back();
  o_begin[layout_.limits.max_sequences] = partial;
  std::fill(merge_begin + row, merge_begin + layout_.limits.max_rows + 1, partial);
  *Array(plan, layout_.chunk_tokens) = chunk_tokens;
  *Array(plan, layout_.num_rows) = layout_.limits.max_rows;
}

int32_t AttentionPlanner::WriteItems(const AttentionBatch& batch, int32_t chunk_tokens,
                                     std::byte* plan) const {
  int32_t* const item_sequence = Array(plan, layout_.item_sequence);
  int32_t* const item_row_tile = Array(plan, layout_.item_row_tile);
  int32_t* const item_chunk = Array(plan, layout_.item_chunk);
  int32_t item = 0;
  for (size_t s = 0; s < batch.tokens.size(); ++s) {
    const int64_t rows = batch.row_begin[s + 1] - batch.row_begin[s];
    const int64_t tiles = CeilDiv<int64_t>(rows * layout_.group(), layout_.tile_rows);
    const int64_t chunks = CeilDiv<int64_t>(batch.tokens[s], chunk_tokens);
    for (int32_t tile = 0; tile < tiles; ++tile) {
      for (int32_t chunk = 0; chunk < chunks; ++chunk, ++item) {
        item_sequence[item] = static_cast<int32_t>(s);
        item_row_tile[item] = tile;
        item_chunk[item] = chunk;
      }
    }
  }
  for (int32_t* array : {item_sequence, item_row_tile, item_chunk}) {
    std::fill(array + item, array + layout_.max_items, 0);
  }
  std::byte* const valid = plan + layout_.item_valid;
  std::memset(valid, 1, static_cast<size_t>(item));
  std::memset(valid + item, 0, static_cast<size_t>(layout_.max_items - item));
  return item;
}

}  // namespace chorus::kernels
