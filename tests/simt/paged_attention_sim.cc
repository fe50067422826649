#include "tests/simt/paged_attention_sim.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"
#include "tests/support/element.h"

namespace chorus::test {
namespace {

using kernels::AttentionLayout;
using kernels::CeilDiv;
using kernels::DeviceAttentionArgs;
using kernels::kPageTokens;

constexpr double kLog2E = 1.4426950408889634;

class Launch {
 public:
  explicit Launch(const DeviceAttentionArgs& args)
      : args_(args),
        layout_(*args.layout),
        head_dim_(args.pool.head_dim),
        out_(static_cast<size_t>(head_dim_)) {}

  void Run() {
    for (int32_t item = 0; item < layout_.max_items; ++item) {
      if (static_cast<uint8_t>(args_.plan[layout_.item_valid + item]) == 0) continue;
      for (int32_t head = 0; head < layout_.limits.kv_heads; ++head) RunItem(item, head);
    }
    if (!args_.split) return;
    for (int32_t row = 0; row < Entry(layout_.num_rows, 0); ++row) {
      for (int32_t head = 0; head < layout_.limits.heads; ++head) Merge(row, head);
    }
  }

 private:
  int32_t Entry(int32_t array, int64_t i) const {
    return reinterpret_cast<const int32_t*>(args_.plan + array)[i];
  }

  // The first element of K (0) or V (1) of a token.
  const std::byte* Token(int32_t sequence, int32_t kv_head, int64_t token, int which) const {
    const int64_t page = Entry(layout_.page_begin, sequence) + token / kPageTokens;
    CHORUS_CHECK_LT(page, Entry(layout_.page_begin, sequence + 1));
    const int32_t id = args_.page_ids[page];
    CHORUS_CHECK(id >= 0 && id < args_.pool.num_ids);
    const int64_t element = which * args_.pool.v_offset() + args_.pool.k_offset(kv_head) +
                            token % kPageTokens * head_dim_;
    return args_.pool.CellAddress(args_.pool.CellOf(args_.slab, id)) + 2 * element;
  }

  void RunItem(int32_t item, int32_t kv_head) {
    const int32_t sequence = Entry(layout_.item_sequence, item);
    CHORUS_CHECK(sequence >= 0 && sequence < layout_.limits.max_sequences);
    const int64_t rows =
        Entry(layout_.row_begin, sequence + 1) - Entry(layout_.row_begin, sequence);
    const int64_t pages =
        Entry(layout_.page_begin, sequence + 1) - Entry(layout_.page_begin, sequence);
    const int64_t tokens = (pages - 1) * kPageTokens + Entry(layout_.last_page_tokens, sequence);
    const int64_t chunk_tokens = args_.split ? Entry(layout_.chunk_tokens, 0) : tokens;
    const int64_t chunk = Entry(layout_.item_chunk, item);
    const int64_t begin = chunk * chunk_tokens;
    CHORUS_CHECK_LT(begin, tokens);
    const int64_t first = int64_t{Entry(layout_.item_row_tile, item)} * layout_.tile_rows;
    CHORUS_CHECK_LT(first, rows * layout_.group());
    const int64_t last = std::min(first + layout_.tile_rows, rows * layout_.group());
    for (int64_t packed = first; packed < last; ++packed) {
      const int64_t row = packed / layout_.group();
      const int64_t head = int64_t{kv_head} * layout_.group() + packed % layout_.group();
      const int64_t visible = tokens - rows + row + 1;
      const double score =
          Attend(sequence, row, head, begin, std::min({begin + chunk_tokens, tokens, visible}));
      const int64_t partial =
          Entry(layout_.o_begin, sequence) + row * CeilDiv(tokens, chunk_tokens) + chunk;
      CHORUS_CHECK_LT(partial, args_.split ? layout_.max_partials : layout_.limits.max_rows);
      Store(args_.split ? args_.workspace : args_.y, partial, head);
      if (args_.split) Score(partial, head) = static_cast<float>(score);
    }
  }

  // Leaves the head's output over tokens [begin, end) in out_, and returns log2 Σ exp(scores).
  double Attend(int32_t sequence, int64_t row, int64_t head, int64_t begin, int64_t end) {
    std::fill(out_.begin(), out_.end(), 0.0);
    if (begin >= end) return -std::numeric_limits<double>::infinity();
    const auto kv_head = static_cast<int32_t>(head / layout_.group());
    const int64_t q =
        (Entry(layout_.row_begin, sequence) + row) * args_.q_stride + head * head_dim_;
    scores_.clear();
    for (int64_t token = begin; token < end; ++token) {
      const std::byte* const key = Token(sequence, kv_head, token, 0);
      double score = 0.0;
      for (int64_t d = 0; d < head_dim_; ++d) {
        score += double{Load(args_.q, q + d)} * Load(key, d);
      }
      scores_.push_back(score * args_.scale * kLog2E);
    }
    const double max = *std::max_element(scores_.begin(), scores_.end());
    double sum = 0.0;
    for (double& score : scores_) sum += score = std::exp2(score - max);
    for (int64_t token = begin; token < end; ++token) {
      const double weight = scores_[static_cast<size_t>(token - begin)] / sum;
      AddWeighted(weight, Token(sequence, kv_head, token, 1), 0);
    }
    return max + std::log2(sum);
  }

  void Merge(int32_t row, int64_t head) {
    const int64_t begin = Entry(layout_.merge_begin, row);
    const int64_t end = Entry(layout_.merge_begin, row + 1);
    CHORUS_CHECK(begin <= end && end <= layout_.max_partials);
    std::fill(out_.begin(), out_.end(), 0.0);
    float max = -std::numeric_limits<float>::infinity();
    for (int64_t p = begin; p < end; ++p) max = std::max(max, Score(p, head));
    double sum = 0.0;
    for (int64_t p = begin; p < end; ++p) sum += std::exp2(double{Score(p, head)} - max);
    for (int64_t p = begin; p < end; ++p) {
      AddWeighted(std::exp2(double{Score(p, head)} - max) / sum, args_.workspace,
                  OutputAt(p, head));
    }
    Store(args_.y, row, head);
  }

  void AddWeighted(double weight, const std::byte* values, int64_t first) {
    for (int64_t d = 0; d < head_dim_; ++d) {
      out_[static_cast<size_t>(d)] += weight * Load(values, first + d);
    }
  }

  void Store(void* to, int64_t row, int64_t head) const {
    for (int64_t d = 0; d < head_dim_; ++d) {
      StoreElement(args_.pool.dtype, to, OutputAt(row, head) + d,
                   static_cast<float>(out_[static_cast<size_t>(d)]));
    }
  }

  // The first element of a head of a row of outputs.
  int64_t OutputAt(int64_t row, int64_t head) const {
    return (row * layout_.limits.heads + head) * head_dim_;
  }
  float Load(const void* data, int64_t i) const { return LoadElement(args_.pool.dtype, data, i); }
  float& Score(int64_t partial, int64_t head) const {
    return reinterpret_cast<float*>(args_.workspace +
                                    layout_.scores_offset())[partial * layout_.limits.heads + head];
  }

  const DeviceAttentionArgs& args_;
  const AttentionLayout& layout_;
  const int64_t head_dim_;
  std::vector<double> out_;
  std::vector<double> scores_;
};

// The page ids of the plan's sequences, and the pages.
std::vector<kernels::SimBytes> PagesOf(const DeviceAttentionArgs& args) {
  const auto* const begin = reinterpret_cast<const int32_t*>(args.plan + args.layout->page_begin);
  const int32_t first = begin[0];
  const int32_t last = begin[args.layout->limits.max_sequences];
  std::vector<kernels::SimBytes> pages = {{args.page_ids + first, 4 * int64_t{last - first}}};
  for (int32_t i = first; i < last; ++i) {
    const int64_t cell = args.pool.CellOf(args.slab, args.page_ids[i]);
    pages.push_back({args.pool.CellAddress(cell), args.pool.cell_bytes()});
  }
  return pages;
}

}  // namespace

absl::Status PagedAttentionSim(const DeviceAttentionArgs& args) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceAttention(args));
  Launch(args).Run();
  return absl::OkStatus();
}

absl::Status EnqueuePagedAttention(const DeviceAttentionArgs& args, kernels::SimDevice* device,
                                   kernels::DeviceStream* stream) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceAttention(args));
  const AttentionLayout& layout = *args.layout;
  const int64_t row_elements = int64_t{layout.limits.heads} * layout.limits.head_dim;
  const int64_t last_row = layout.limits.max_rows - 1;
  kernels::SimHostOp op = {
      .name = "PagedAttention",
      .reads = {{args.plan, layout.bytes}, {args.q, 2 * (last_row * args.q_stride + row_elements)}},
      .writes = {{args.y, 2 * (last_row + 1) * row_elements}},
      .run = [args] { Launch(args).Run(); },
      .late_reads = [args] { return PagesOf(args); }};
  if (args.split) op.writes.push_back({args.workspace, layout.workspace_bytes()});
  return device->Enqueue(stream, std::move(op));
}

}  // namespace chorus::test
