// Scheduler: decides, step by step, which sequences run, and keeps the promises of the pool: nobody
// deadlocks, nobody starves, nothing sent is sent again. Pure: no thread, no clock, no file; the
// engine thread (or a test) calls it, tells it the time and runs its plans.
//
//   Submit · Cancel · OnLoadDone · Pin · Forget      between steps, in any order
//   PlanStep → (run the plan) → CommitStep           one step
//
// What holds pages: running sequences, sequences reserved while their adapter loads, and copies
// under way. All else (cached prefixes, idle adapters) is reclaimable. The head of the queue takes
// its adapter and its KV pages in one reservation or not at all; decodes that find no page preempt
// the youngest, never the oldest. So the oldest always runs, and every admitted request ends.
#ifndef CHORUS_ENGINE_SCHEDULE_SCHEDULER_H_
#define CHORUS_ENGINE_SCHEDULE_SCHEDULER_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/model/runner.h"
#include "engine/model/step_plan.h"
#include "engine/schedule/active_set.h"
#include "engine/schedule/admission.h"
#include "engine/schedule/batch_builder.h"
#include "engine/schedule/early_abort.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/engine_stats.h"
#include "engine/schedule/fair_queue.h"
#include "engine/schedule/intake.h"
#include "engine/schedule/model_limits.h"
#include "engine/schedule/pace.h"
#include "engine/schedule/pool_contents.h"
#include "engine/schedule/prompts_under_way.h"
#include "engine/schedule/request.h"
#include "engine/schedule/row_choice.h"

namespace chorus::engine {

class Scheduler {
 public:
  // `loads` and `bell` must outlive the scheduler.
  Scheduler(const EngineOptions& options, const ModelLimits& model,
            const kernels::PoolView& pool_view, LoadQueue* loads, StreamBell* bell);
  // Copies under way must have answered.
  ~Scheduler();

  // What may be submitted, and requests to submit: thread-safe.
  const Intake& intake() const { return intake_; }

  // REQUIRES: it is valid, and no live request has this id.
  void Submit(std::unique_ptr<Request> request, absl::Time now);
  void Cancel(const std::string& request_id, int32_t choice, FinishReason reason);
  void OnLoadArriving(const LoadArriving& arriving) { pool_.residency.OnLoadArriving(arriving); }
  void OnLoadDone(const LoadDone& done, absl::Time now);
  absl::Status Pin(const AdapterRef& adapter, bool pinned);
  void Forget(const AdapterKey& key);

  // The next step, or nullopt when nothing can run now (all wait for loads, or nothing is here).
  std::optional<StepPlan> PlanStep(absl::Time now);
  // REQUIRES: `result` is of the plan that PlanStep returned last, which took `step_time`.
  void CommitStep(const StepResult& result, absl::Duration step_time);
  // The device is lost: ends every request with `status`.
  void FailAll(const absl::Status& status);

  bool idle() const { return requests_.empty(); }
  // Called with a request's id when it ends, before its stream says so: who reads of the end may
  // use the id again. Set once, before the first Submit.
  void OnEnded(std::function<void(const std::string&)> on_ended) {
    on_ended_ = std::move(on_ended);
  }
  int num_loading() const { return pool_.residency.num_loading(); }
  // When PlanStep should be asked again although nothing happened: the earliest deadline.
  absl::Time next_deadline() const {
    return by_deadline_.empty() ? absl::InfiniteFuture() : (*by_deadline_.begin())->spec.deadline;
  }
  void FillStats(EngineStats* stats) const;
  std::vector<AdapterResidency> AdapterSnapshot() const { return pool_.residency.Snapshot(); }
  ResidencyChanges TakeResidencyChanges() { return pool_.residency.TakeChanges(); }
  // Durations of the loads that ended since the last call.
  std::vector<double> TakeLoadSeconds() { return std::exchange(load_seconds_, {}); }

 private:
  void ExpireDeadlines(absl::Time now);
  void RefuseLate(absl::Time now);
  void ReserveDecode(absl::Time now);
  bool AwaitStaged(absl::Time now);
  bool GrowByPage(Sequence* sequence);
  void Preempt(Sequence* sequence);
  void NoteAdmitted(Sequence* sequence, absl::Time now);
  void CountWork(const StepPlan& plan);
  void AddArrivals(StepPlan* plan) const;
  void CommitSequence(const PlannedSequence& planned, const StepResult& result);
  void Publish(Sequence* sequence);
  Sequence* Fork(Sequence* parent, int32_t choice);
  void AcceptToken(Sequence* sequence, const kernels::SampledToken& token);
  void Finish(Sequence* sequence, FinishReason reason, int32_t stop_token, absl::Status status);
  void LeavePool(Sequence* sequence, bool preempted);
  void Push(Request* request, StreamEvent event);

  const EngineOptions options_;
  const ModelLimits model_;
  StreamBell* const bell_;
  PoolContents pool_;
  const Intake intake_;
  absl::flat_hash_map<std::string, std::unique_ptr<Request>> requests_;
  std::set<Request*, SoonerDeadline> by_deadline_;  // those that have one
  FairQueue waiting_;
  ActiveSet active_;
  PromptsUnderWay under_way_;
  Pace pace_;
  Admission admission_;
  EarlyAbort early_abort_;
  RowChoice rows_;
  std::vector<PlannedSequence> planned_;  // of the step under way
  std::vector<std::string> slow_;         // requests whose stream was full in it
  std::function<void(const std::string&)> on_ended_ = [](const std::string&) {};
  std::vector<double> load_seconds_;
  absl::Time staged_patience_ = absl::InfinitePast();  // how long staged loads may take to yield
  absl::Time now_;                                     // when the step under way was planned
  uint64_t epoch_ = 0;
  uint64_t next_serial_ = 1;
  int64_t num_admitted_ = 0;  // requests
  EngineStats counters_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_SCHEDULER_H_
