// EarlyAbort: who cannot have his first token in time is told so at once, with a hint when to come
// again. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_EARLY_ABORT_H_
#define CHORUS_ENGINE_SCHEDULE_EARLY_ABORT_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/schedule/active_set.h"
#include "engine/schedule/admission.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/fair_queue.h"
#include "engine/schedule/first_token_forecast.h"
#include "engine/schedule/pace.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class EarlyAbort {
 public:
  struct Late {
    Sequence* sequence = nullptr;
    absl::Status status;
  };

  // All outlive it. `pace` learns how good the forecasts are.
  EarlyAbort(const EngineOptions& options, const PoolContents& pool, const Admission& admission,
             const ActiveSet& active, FairQueue* waiting, Pace* pace);

  // Those who wait and will be late. Looks at the whole queue, so every now and then only: else it
  // finds none.
  std::vector<Late> Find(absl::Time now);
  void NoteFirstToken(const Sequence& sequence, absl::Time now);

 private:
  absl::Time DeadlineOf(const Request& request) const;
  FirstTokenForecast::Wish WishOf(const Sequence& sequence, absl::Time now) const;

  const EngineOptions& options_;
  const PoolContents& pool_;
  const Admission& admission_;
  const ActiveSet& active_;
  FairQueue& waiting_;
  Pace& pace_;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_EARLY_ABORT_H_
