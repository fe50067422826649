#include "engine/schedule/row_choice.h"

#include <algorithm>

#include "engine/schedule/step_budget.h"

namespace chorus::engine {

std::vector<PlannedSequence> RowChoice::Choose(const ActiveSet& active, absl::Time now) {
  std::vector<PlannedSequence> chosen;
  StepBudget budget(options_.max_step_tokens, model_.runner, model_.vocabulary);
  // The rows that it was given; 0 where it cannot run now.
  const auto choose = [&](Sequence* sequence) -> int64_t {
    const int64_t left = sequence->num_tokens() - sequence->computed;
    const int64_t leased = sequence->pages.size() * kernels::kPageTokens - sequence->computed;
    int64_t rows = std::min({left, leased, budget.rows(), int64_t{options_.max_prefill_chunk}});
    if (rows <= 0) return 0;  // the oldest, while it waits for a page
    rows = RowsThatMayRun(*sequence, rows, now);
    if (rows > 0 && !budget.TakeCrossing(*sequence, rows)) rows = sequence->base_rows(rows);
    if (rows == 0 || !budget.Take(*sequence, rows)) return 0;
    chosen.push_back({sequence, rows});
    return rows;
  };
  std::vector<Sequence*> prompts;
  for (Sequence* sequence : active) {
    if (sequence->num_tokens() - sequence->computed > 1) {
      prompts.push_back(sequence);
    } else {
      choose(sequence);
    }
  }
  prompts_.Begin(prompts);
  while (budget.rows() > 0) {
    Sequence* const sequence = prompts_.Next();
    if (sequence == nullptr) break;
    prompts_.Took(choose(sequence));
  }
  return chosen;
}

// Of a sequence's next `rows` rows. While its adapter is on its way, what the base computes may
// run.
int64_t RowChoice::RowsThatMayRun(const Sequence& sequence, int64_t rows, absl::Time now) const {
  if (sequence.state == Sequence::State::kRunning) return rows;
  return IsThereInTime(*sequence.resident, rows, now) ? rows : sequence.base_rows(rows);
}

// A step with an adapter that is arriving may run when a step of these rows alone would find each
// layer there: then nobody who shares the step waits. Layers come evenly and are needed evenly, so
// the first and the last tell.
bool RowChoice::IsThereInTime(const Residency::Resident& adapter, int64_t rows,
                              absl::Time now) const {
  if (adapter.state != ResidencyState::kArriving) return false;
  const ArrivalProgress progress = adapter.arrivals->progress();
  const absl::Duration left = progress.layer_time * (num_layers_ - progress.layers_there) -
                              std::min(now - progress.at, progress.layer_time);
  const double share = 1.0 - 1.0 / num_layers_;  // of the step, before its last layer
  return progress.layers_there >= 1 &&
         left <= pace_.row_time() * (static_cast<double>(rows) * share);
}

}  // namespace chorus::engine
