#include "engine/schedule/batch_builder.h"

#include <algorithm>
#include <numeric>

#include "kernels/check.h"

namespace chorus::engine {
namespace {

int32_t SlotOf(const PlannedSequence& planned) {
  const Residency::Resident* resident = planned.sequence->resident;
  return resident == nullptr ? -1 : resident->slot;
}

// Appends the sequence's rows; returns the first one's number.
int32_t AddRows(const PlannedSequence& planned, StepPlan* plan) {
  const Sequence& sequence = *planned.sequence;
  const int32_t first_row = static_cast<int32_t>(plan->num_rows());
  for (int64_t i = 0; i < planned.rows; ++i) {
    const int64_t position = sequence.computed + i;
    plan->tokens.push_back(sequence.token(position));
    plan->positions.push_back(static_cast<int32_t>(position));
    plan->row_pages.push_back(sequence.pages[position / kernels::kPageTokens]);
  }
  return first_row;
}

void AddToSegment(int32_t slot, int32_t first_row, int64_t rows, StepPlan* plan) {
  if (slot < 0) return;
  if (plan->segments.empty() || plan->segments.back().slot != slot) {
    plan->segments.push_back({slot, first_row, 0});
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

}  // namespace

void BuildBatch(std::span<PlannedSequence> sequences, StepPlan* plan) {
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return SlotOf(sequences[a]) < SlotOf(sequences[b]); });
  plan->sequence_rows_begin.push_back(0);
  plan->page_begin.push_back(0);
  for (size_t i : order) {
    PlannedSequence& planned = sequences[i];
    const Sequence& sequence = *planned.sequence;
    const int32_t first_row = AddRows(planned, plan);
    AddToSegment(SlotOf(planned), first_row, planned.rows, plan);
    for (int64_t r = 0; r < planned.rows; ++r) {
      plan->sequence_rows.push_back(first_row + static_cast<int32_t>(r));
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
      AddSamples(first_row + static_cast<int32_t>(planned.rows) - 1, &planned, plan);
    }
  }
}

}  // namespace chorus::engine
