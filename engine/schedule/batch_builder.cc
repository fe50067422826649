#include "engine/schedule/batch_builder.h"

#include <algorithm>
#include <vector>

#include "kernels/check.h"

namespace chorus::engine {
namespace {

// A sequence's rows in the step: first those that the base computes, then its adapter's.
struct Part {
  PlannedSequence* planned;
  int64_t base_rows;
  int32_t slot;  // -1: all are the base's
  int32_t first_base_row = 0;
  int32_t first_adapter_row = 0;
};

Part PartOf(PlannedSequence* planned) {
  const Sequence& sequence = *planned->sequence;
  const int64_t base_rows = sequence.base_rows(planned->rows);
  if (base_rows == planned->rows) return {planned, base_rows, -1};
  CHORUS_CHECK_GE(sequence.resident->slot, 0);
  return {planned, base_rows, sequence.resident->slot};
}

// Appends rows [begin, end) of the sequence's; returns the first one's number.
int32_t AddRows(const Sequence& sequence, int64_t begin, int64_t end, StepPlan* plan) {
  const int32_t first_row = static_cast<int32_t>(plan->num_rows());
  for (int64_t position = sequence.computed + begin; position < sequence.computed + end;
       ++position) {
    plan->tokens.push_back(sequence.token(position));
    plan->positions.push_back(static_cast<int32_t>(position));
    plan->row_pages.push_back(sequence.pages[position / kernels::kPageTokens]);
  }
  return first_row;
}

void AddToSegment(const Part& part, StepPlan* plan) {
  const int64_t rows = part.planned->rows - part.base_rows;
  if (rows == 0) return;
  if (plan->segments.empty() || plan->segments.back().slot != part.slot) {
    plan->segments.push_back({part.slot, part.first_adapter_row, 0});
    plan->rank_sum += part.planned->sequence->resident->max_rank;
  }
  plan->segments.back().num_rows += static_cast<int32_t>(rows);
}

void AddSamples(int32_t row, PlannedSequence* planned, StepPlan* plan) {
  const Sequence& sequence = *planned->sequence;
  const Request& request = *sequence.request;
  planned->first_sample = static_cast<int32_t>(plan->samples.size());
  planned->num_samples = sequence.num_choices();
  for (int32_t i = 0; i < planned->num_samples; ++i) {
    PlannedSample sample;
    sample.row = row;
    sample.params = &request.spec.sampling;
    if (request.needs_history()) {
      sample.prompt = request.spec.prompt;
      sample.output = sequence.output;
    }
    sample.choice = sequence.choice + i;
    sample.position = sequence.num_tokens();
    plan->samples.push_back(std::move(sample));
  }
}

void AddSequence(const Part& part, StepPlan* plan) {
  PlannedSequence& planned = *part.planned;
  const Sequence& sequence = *planned.sequence;
  for (int64_t r = 0; r < planned.rows; ++r) {
    plan->sequence_rows.push_back(
        static_cast<int32_t>(r < part.base_rows ? part.first_base_row + r
                                                : part.first_adapter_row + r - part.base_rows));
  }
  plan->sequence_rows_begin.push_back(static_cast<int32_t>(plan->sequence_rows.size()));
  const int64_t pages = PagesFor(sequence.computed + planned.rows);
  CHORUS_CHECK_LE(pages, sequence.pages.size());
  const std::span<const PageId> ids = sequence.pages.ids();
  plan->page_ids.insert(plan->page_ids.end(), ids.begin(), ids.begin() + pages);
  plan->page_begin.push_back(static_cast<int32_t>(plan->page_ids.size()));
  if (sequence.copy.has_value()) plan->page_copies.push_back(*sequence.copy);
  plan->restores.insert(plan->restores.end(), sequence.restores.begin(), sequence.restores.end());
  planned.num_samples = 0;
  if (sequence.computed + planned.rows == sequence.num_tokens()) {
    AddSamples(plan->sequence_rows.back(), &planned, plan);
  }
}

}  // namespace

void BuildBatch(std::span<PlannedSequence> sequences, StepPlan* plan) {
  std::vector<Part> parts;
  for (PlannedSequence& planned : sequences) parts.push_back(PartOf(&planned));
  for (Part& part : parts) {
    part.first_base_row = AddRows(*part.planned->sequence, 0, part.base_rows, plan);
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.slot < b.slot; });
  for (Part& part : parts) {
    part.first_adapter_row =
        AddRows(*part.planned->sequence, part.base_rows, part.planned->rows, plan);
    AddToSegment(part, plan);
  }
  plan->sequence_rows_begin.push_back(0);
  plan->page_begin.push_back(0);
  for (const Part& part : parts) AddSequence(part, plan);
}

}  // namespace chorus::engine
