#include "kernels/attention/paged_attention.h"

#include "absl/strings/str_cat.h"
#include "kernels/attention/paged_attention_cpu.h"
#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

absl::Status CheckRagged(const ArgCheck& check, absl::string_view name,
                         std::span<const int32_t> begin, size_t size) {
  for (size_t i = 1; i < begin.size(); ++i) {
    if (begin[i] < begin[i - 1]) return check.Fail(absl::StrCat(name, " does not ascend"));
  }
  if (begin.front() != 0 || begin.back() != static_cast<int64_t>(size)) {
    return check.Fail(absl::StrCat(name, " runs from ", begin.front(), " to ", begin.back(),
                                   ", want 0 to ", size));
  }
  return absl::OkStatus();
}

// The rows of one sequence ascend in position, and its pages hold them all.
absl::Status CheckSequence(const ArgCheck& check, const PagedAttentionArgs& args, size_t sequence) {
  int64_t previous = -1;
  for (int32_t i = args.row_begin[sequence]; i < args.row_begin[sequence + 1]; ++i) {
    const int32_t row = args.rows[static_cast<size_t>(i)];
    CHORUS_RETURN_IF_ERROR(check.InRange("row", row, 0, args.q.rows));
    const int32_t position = args.positions[static_cast<size_t>(row)];
    if (position <= previous) {
      return check.Fail(absl::StrCat("sequence ", sequence, " has position ", position, " after ",
                                     previous, ", want ascending positions from 0"));
    }
    previous = position;
  }
  const int32_t pages = args.page_begin[sequence + 1] - args.page_begin[sequence];
  if (previous >= int64_t{pages} * kPageTokens) {
    return check.Fail(absl::StrCat("sequence ", sequence, " has ", pages, " pages of ", kPageTokens,
                                   " tokens, want room for position ", previous));
  }
  return absl::OkStatus();
}

absl::Status CheckArgs(const PagedAttentionArgs& args) {
  const ArgCheck check("PagedAttention");
  const PoolView& pool = args.pool;
  CHORUS_RETURN_IF_ERROR(check.Pool(pool, args.slab));
  if (args.heads < 1 || args.heads % pool.kv_heads != 0) {
    return check.Fail(absl::StrCat("heads is ", args.heads, ", want a multiple of the ",
                                   pool.kv_heads, " KV heads"));
  }
  const int64_t rows = args.q.rows;
  const int64_t cols = int64_t{args.heads} * pool.head_dim;
  CHORUS_RETURN_IF_ERROR(check.WideTensor("q", args.q, ArgCheck::kAny, cols, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(check.Tensor("y", args.y, rows, cols, {DType::kF32, DType::kBf16}));
  CHORUS_RETURN_IF_ERROR(
      check.Count("positions", static_cast<int64_t>(args.positions.size()), rows));
  CHORUS_RETURN_IF_ERROR(check.Count("rows", static_cast<int64_t>(args.rows.size()), rows));
  if (rows == 0) return absl::OkStatus();
  if (args.row_begin.empty() || args.page_begin.size() != args.row_begin.size()) {
    return check.Fail(absl::StrCat("row_begin and page_begin have ", args.row_begin.size(), " and ",
                                   args.page_begin.size(), " elements, want sequences + 1 each"));
  }
  CHORUS_RETURN_IF_ERROR(CheckRagged(check, "row_begin", args.row_begin, args.rows.size()));
  CHORUS_RETURN_IF_ERROR(CheckRagged(check, "page_begin", args.page_begin, args.page_ids.size()));
  for (size_t s = 0; s + 1 < args.row_begin.size(); ++s) {
    CHORUS_RETURN_IF_ERROR(CheckSequence(check, args, s));
  }
  for (const int32_t id : args.page_ids) {
    CHORUS_RETURN_IF_ERROR(check.InRange("page id", id, 0, pool.num_ids));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PagedAttention(const PagedAttentionArgs& args, const Stream& stream) {
  CHORUS_RETURN_IF_ERROR(CheckArgs(args));
  if (args.q.rows > 0) PagedAttentionCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
