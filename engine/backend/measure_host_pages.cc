#include <algorithm>

#include "engine/backend/backend.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

absl::StatusOr<absl::Duration> MeasureHostPages(Runner* runner, const kernels::PoolView& pool,
                                                int64_t num_slots, const Clock* clock) {
  constexpr int64_t kPages = 16;
  constexpr int kRepeats = 3;  // the first one touches memory that nobody has touched
  const int64_t pages = std::min({kPages, num_slots, pool.num_ids});
  absl::Duration slower = absl::ZeroDuration();
  for (const bool save : {true, false}) {
    StepPlan plan{.sequence_rows_begin = {0}, .page_begin = {0}};
    for (int32_t i = 0; i < pages; ++i) (save ? plan.saves : plan.restores).push_back({i, i});
    absl::Duration best = absl::InfiniteDuration();
    for (int i = 0; i < kRepeats; ++i) {
      const absl::Time begin = clock->Now();
      CHORUS_RETURN_IF_ERROR(runner->Run(plan).status());
      best = std::min(best, clock->Now() - begin);
    }
    slower = std::max(slower, best / pages);
  }
  return slower;
}

}  // namespace chorus::engine
