// FirstTokenForecast: when requests that wait would draw their first tokens, by the measured pace
// and by what is ahead of them: prompts that run, requests that are admitted before, the adapter's
// load, and sequences that must end first where rows or pages are short. Made anew for each sweep
// over the queue, which asks in the order of admission.
//
// It takes the queue for a fluid: prompts share rows as PromptTurns shares them, decodes take
// theirs first, sequences end at the pace at which they did (but not later than max_tokens lets
// them). What it does not know (limits of adapters and ranks, requests that have yet to come) it
// takes to cost nothing, so it is early rather than late.
#ifndef CHORUS_ENGINE_SCHEDULE_FIRST_TOKEN_FORECAST_H_
#define CHORUS_ENGINE_SCHEDULE_FIRST_TOKEN_FORECAST_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "engine/schedule/active_set.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/fair_queue.h"
#include "engine/schedule/pace.h"

namespace chorus::engine {

class FirstTokenForecast {
 public:
  struct Wish {
    const Tenant* tenant = nullptr;
    int64_t rows = 0;   // of its prompt, that are to be computed
    int64_t pages = 0;  // with its adapter's
    int64_t choices = 1;
    absl::Duration load;  // until its adapter is there
  };

  // All outlive it. `free_pages` are free or can be reclaimed. REQUIRES: pace.known().
  FirstTokenForecast(const EngineOptions& options, const Pace& pace, const ActiveSet& active,
                     int64_t free_pages);

  // From now to its first token.
  absl::Duration Ask(const Wish& wish) const;
  // It goes before all that is asked later.
  void Count(const Wish& wish);

 private:
  // A tenant's prompts.
  struct Lane {
    double clock = 0.0;
    double rows = 0.0;
  };

  void AddRows(const Tenant& tenant, double rows);
  double ClockOf(const Tenant& tenant) const;
  double RowsAhead(const Wish& wish) const;
  absl::Duration TimeOf(double rows, double own_rows) const;
  absl::Duration RoomIn(const Wish& wish) const;

  const EngineOptions& options_;
  const Pace& pace_;
  absl::flat_hash_map<const Tenant*, Lane> lanes_;
  double time_ = 0.0;           // the least clock of a lane
  std::vector<int64_t> ends_;   // tokens that running choices may still draw, ascending
  int64_t sequence_pages_ = 0;  // of all that run
  int64_t running_ = 0;         // choices
  double decodes_ = 0;          // sequences; as many as now will go on
  int64_t ahead_ = 0;           // choices that were counted
  int64_t free_pages_;          // less what was counted
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_FIRST_TOKEN_FORECAST_H_
