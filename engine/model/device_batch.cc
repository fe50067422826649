#include "engine/model/device_batch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/checked.h"
#include "kernels/device/pool_view.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr int32_t kMaxPosition = 1 << 30;

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("step plan: ", what));
}

absl::Status NotOneSequences(int32_t row, const StepPlan& plan) {
  return Wrong(absl::StrCat("row ", row, " of ", plan.num_rows(), " is not one sequence's"));
}

// Offsets of a ragged array of `count` elements, from 0 and ascending.
bool AreOffsets(const std::vector<int32_t>& begin, size_t count) {
  return !begin.empty() && begin.front() == 0 && std::is_sorted(begin.begin(), begin.end()) &&
         static_cast<size_t>(begin.back()) == count;
}

void Clear(LaunchSequences* launch) {
  launch->row_begin.assign(1, 0);
  launch->page_begin.clear();
  launch->tokens.clear();
}

}  // namespace

absl::Status DeviceBatch::Build(const StepPlan& plan) {
  CHORUS_RETURN_IF_ERROR(CheckShape(plan));
  CHORUS_RETURN_IF_ERROR(MarkSlots(plan));
  plan_rows_.clear();
  rows_.assign(plan.tokens.size(), -1);
  page_ids_.clear();
  order_.clear();
  Clear(&decodes_);
  Clear(&chunks_);
  const size_t sequences = plan.page_begin.size() - 1;
  const auto rows_of = [&](size_t s) {
    return plan.sequence_rows_begin[s + 1] - plan.sequence_rows_begin[s];
  };
  const auto slot_of = [&](size_t s) {
    const auto first = static_cast<size_t>(plan.sequence_rows_begin[s]);
    return plan_slots_[static_cast<size_t>(plan.sequence_rows[first])];
  };
  for (size_t s = 0; s < sequences; ++s) {
    if (rows_of(s) == 1) order_.push_back(s);
  }
  std::stable_sort(order_.begin(), order_.end(),
                   [&](size_t a, size_t b) { return slot_of(a) < slot_of(b); });
  for (const size_t s : order_) CHORUS_RETURN_IF_ERROR(AddSequence(plan, s, &decodes_));
  decodes_.page_begin.push_back(static_cast<int32_t>(page_ids_.size()));
  for (size_t s = 0; s < sequences; ++s) {
    if (rows_of(s) > 1) CHORUS_RETURN_IF_ERROR(AddSequence(plan, s, &chunks_));
  }
  chunks_.page_begin.push_back(static_cast<int32_t>(page_ids_.size()));
  CutSegments();
  return absl::OkStatus();
}

absl::Status DeviceBatch::CheckShape(const StepPlan& plan) const {
  const size_t rows = plan.tokens.size();
  if (plan.positions.size() != rows || plan.row_pages.size() != rows ||
      plan.sequence_rows.size() != rows) {
    return Wrong(absl::StrCat(rows, " tokens with ", plan.positions.size(), " positions, ",
                              plan.row_pages.size(), " pages and ", plan.sequence_rows.size(),
                              " rows of sequences"));
  }
  if (!AreOffsets(plan.sequence_rows_begin, rows) ||
      !AreOffsets(plan.page_begin, plan.page_ids.size()) ||
      plan.sequence_rows_begin.size() != plan.page_begin.size()) {
    return Wrong("offsets of sequences do not ascend from 0 to what they divide");
  }
  for (const int32_t row : plan.sequence_rows) {
    if (row < 0 || row >= plan.num_rows()) return NotOneSequences(row, plan);
  }
  return absl::OkStatus();
}

// The slot of each of the plan's rows.
absl::Status DeviceBatch::MarkSlots(const StepPlan& plan) {
  plan_slots_.assign(plan.tokens.size(), -1);
  for (const kernels::LoraSegment& segment : plan.segments) {
    if (segment.slot < 0 || segment.first_row < 0 || segment.num_rows < 1 ||
        int64_t{segment.first_row} + segment.num_rows > plan.num_rows()) {
      return Wrong(absl::StrCat("segment of slot ", segment.slot, " has ", segment.num_rows,
                                " rows from ", segment.first_row, " of ", plan.num_rows()));
    }
    std::fill_n(plan_slots_.begin() + segment.first_row, segment.num_rows, segment.slot);
  }
  return absl::OkStatus();
}

absl::Status DeviceBatch::AddSequence(const StepPlan& plan, size_t sequence,
                                      LaunchSequences* launch) {
  const auto begin = plan.sequence_rows.begin() + plan.sequence_rows_begin[sequence];
  const auto end = plan.sequence_rows.begin() + plan.sequence_rows_begin[sequence + 1];
  int32_t last = -1;
  for (auto row = begin; row != end; ++row) {
    if (rows_[static_cast<size_t>(*row)] >= 0) return NotOneSequences(*row, plan);
    const int32_t position = plan.positions[static_cast<size_t>(*row)];
    if (position < 0 || position > kMaxPosition || (row != begin && position != last + 1)) {
      return Wrong(absl::StrCat("row ", *row, " is at position ", position, " after ", last));
    }
    last = position;
    rows_[static_cast<size_t>(*row)] = num_rows();
    plan_rows_.push_back(*row);
  }
  const int32_t pages = kernels::CeilDiv(last + 1, kernels::kPageTokens);
  const int32_t first_page = plan.page_begin[sequence];
  if (plan.page_begin[sequence + 1] - first_page < pages) {
    return Wrong(absl::StrCat("sequence ", sequence, " has ",
                              plan.page_begin[sequence + 1] - first_page, " pages, want ", pages));
  }
  launch->page_begin.push_back(static_cast<int32_t>(page_ids_.size()));
  page_ids_.insert(page_ids_.end(), plan.page_ids.begin() + first_page,
                   plan.page_ids.begin() + first_page + pages);
  launch->tokens.push_back(last + 1);
  launch->row_begin.push_back(launch->row_begin.back() + static_cast<int32_t>(end - begin));
  return absl::OkStatus();
}

void DeviceBatch::CutSegments() {
  segments_.clear();
  int32_t before = -1;
  for (int32_t row = 0; row < num_rows(); ++row) {
    const int32_t slot = plan_slots_[static_cast<size_t>(plan_rows_[static_cast<size_t>(row)])];
    if (slot >= 0 && slot != before) segments_.push_back({slot, row, 0});
    if (slot >= 0) ++segments_.back().num_rows;
    before = slot;
  }
}

}  // namespace chorus::engine
