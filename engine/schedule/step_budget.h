// StepBudget: what a step may still take of the engine's and the runner's limits while the
// scheduler chooses its rows, oldest first.
#ifndef CHORUS_ENGINE_SCHEDULE_STEP_BUDGET_H_
#define CHORUS_ENGINE_SCHEDULE_STEP_BUDGET_H_

#include <cstdint>

#include "engine/model/runner.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class StepBudget {
 public:
  StepBudget(int64_t rows, const RunnerLimits& limits, int32_t vocabulary)
      : rows_(rows),
        vocabulary_(vocabulary),
        pages_(limits.max_step_pages),
        penalties_(limits.max_step_penalties),
        biases_(limits.max_step_biases),
        crossing_ranks_(limits.max_step_crossing_ranks) {}

  int64_t rows() const { return rows_; }

  // Takes what `rows` more tokens of the sequence need. False when something is short: nothing is
  // taken, and nobody who is asked later gets any of that, so that many small ones, who would fit,
  // do not keep an older one out for good.
  bool Take(const Sequence& sequence, int64_t rows) {
    const int64_t end = sequence.computed + rows;
    const int64_t pages = PagesFor(end);
    const int64_t samples = end == sequence.num_tokens() ? sequence.num_choices() : 0;
    const int64_t penalties = samples * sequence.num_penalties(vocabulary_);
    const int64_t biases = samples * sequence.request->num_biases();
    if (pages > pages_ || penalties > penalties_ || biases > biases_) {
      if (pages > pages_) pages_ = 0;
      if (penalties > penalties_) penalties_ = 0;
      if (biases > biases_) biases_ = 0;
      return false;
    }
    rows_ -= rows;
    pages_ -= pages;
    penalties_ -= penalties;
    biases_ -= biases;
    return true;
  }

  // Whether the sequence's next `rows` rows may cross from the base to its adapter; true when they
  // do not.
  bool TakeCrossing(const Sequence& sequence, int64_t rows) {
    const int64_t base_rows = sequence.base_rows(rows);
    if (base_rows == 0 || base_rows == rows) return true;
    const int64_t ranks =
        kernels::CeilDiv(sequence.resident->max_rank, kernels::kTileRanks) * kernels::kTileRanks;
    if (ranks > crossing_ranks_) return false;
    crossing_ranks_ -= ranks;
    return true;
  }

 private:
  int64_t rows_;
  const int32_t vocabulary_;
  int64_t pages_, penalties_, biases_, crossing_ranks_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_STEP_BUDGET_H_
