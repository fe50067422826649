// Admission: who enters the pool, and which loads begin for those who wait. Each step it looks at
// the head of the queue anew, tries one after the other, and lets those behind pass whoever is
// blocked, within bounds: not more often than max_overtakes, and not further than the slack that
// tenants' fairness allows (fair_queue.h). Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_ADMISSION_H_
#define CHORUS_ENGINE_SCHEDULE_ADMISSION_H_

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/reclaimer.h"
#include "engine/schedule/active_set.h"
#include "engine/schedule/admission_window.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/engine_stats.h"
#include "engine/schedule/fair_queue.h"
#include "engine/schedule/page_forecast.h"
#include "engine/schedule/pool_contents.h"
#include "engine/schedule/prompts_under_way.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class Admission {
 public:
  // All outlive it.
  Admission(const EngineOptions& options, PoolContents* pool, FairQueue* waiting, ActiveSet* active,
            PromptsUnderWay* under_way);

  // Who enters before the step that is planned now: taken from the queue and charged, active, with
  // its pages leased and its adapter held, which may still have to be loaded.
  std::vector<Sequence*> Admit(absl::Time now);
  // A sequence joins those who wait, and leaves them again.
  void Enqueue(Sequence* sequence);
  void Leave(Sequence* sequence);
  // It ended as it would have ended alone.
  void NoteAnswer(const Sequence& sequence) { forecast_.NoteAnswer(sequence); }

  // Pages for KV that it takes when so many are cached.
  int64_t PagesWanted(const Sequence& sequence, int64_t cached) const;

  // Sequences that met a reason to wait, each once for a reason.
  const std::array<uint64_t, kNumBlocked>& num_blocked() const { return num_blocked_; }

 private:
  // The window
  void FillWindow();
  bool IsWindowFull() const;
  void Look(Sequence* sequence);
  void AdmitDeferred(absl::Time now);
  void Consider(ReclaimRank rank, Passed* passed, absl::Time now);
  bool MayPass(const Sequence& sequence, Passed* passed);
  void AddPassed(Sequence* sequence, Passed* passed);
  void MakeOverdue(Sequence* sequence, Passed* passed);
  bool IsReady(const Sequence& sequence) const;
  bool IsDeferred(const Sequence& sequence) const;

  // One sequence
  Verdict TryAdmit(Sequence* sequence, ReclaimRank rank, absl::Time now);
  void NoteBlocked(Sequence* sequence, Blocked reason);
  std::optional<Blocked> StepLimit(const Sequence& sequence) const;
  int64_t CachedPages(const Sequence& sequence) const;
  bool BeginsOnTheBase(const Sequence& sequence) const;
  bool JoinsPrefill(const Sequence& sequence, int64_t cached) const;
  bool FitsToTheEnd(const Sequence& sequence, int64_t cached, int64_t adapter_pages);
  bool Enter(Sequence* sequence, int64_t cached, int64_t adapter_pages, ReclaimRank rank,
             absl::Time now);
  void TakePages(Sequence* sequence, PageLease matched, int64_t wanted);
  void Charge(Sequence* sequence, int64_t adapter_pages);

  // Those who wait
  void StageLoads(absl::Time now);
  bool StageLoad(Residency::Resident* resident, ReclaimRank rank, absl::Time now);

  const EngineOptions& options_;
  PoolContents& pool_;
  FairQueue& waiting_;
  ActiveSet& active_;
  PromptsUnderWay& under_way_;
  PageForecast forecast_;
  std::set<Sequence*, OlderSequence> overdue_;  // that wait, and nobody may pass any more
  std::array<uint64_t, kNumBlocked> num_blocked_ = {};
  // Of this step
  std::vector<Candidate> window_;
  std::vector<Sequence*> admitted_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ADMISSION_H_
