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
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/adapters/residency.h"
#include "engine/memory/page_supply.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/reclaim_order.h"
#include "engine/model/runner.h"
#include "engine/model/step_plan.h"
#include "engine/schedule/active_set.h"
#include "engine/schedule/admission_window.h"
#include "engine/schedule/batch_builder.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/engine_stats.h"
#include "engine/schedule/fair_queue.h"
#include "engine/schedule/host_tier.h"
#include "engine/schedule/pace.h"
#include "engine/schedule/prompt_turns.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

// What the scheduler must know of the model.
struct ModelLimits {
  std::string base_digest;
  std::vector<int32_t> eos_token_ids;  // ascending
  int32_t max_positions = 0;
  int32_t vocabulary = 0;
  RunnerLimits runner;
};

class Scheduler {
 public:
  // `loads` and `bell` must outlive the scheduler.
  Scheduler(const EngineOptions& options, const ModelLimits& model,
            const kernels::PoolView& pool_view, LoadQueue* loads, StreamBell* bell);
  // Copies under way must have answered.
  ~Scheduler();

  // Whether a request can ever be served: thread-safe, looks at constants only. InvalidArgument for
  // broken limits, ResourceExhausted when an empty pool beside the pin budget could not hold it.
  absl::Status Validate(const GenerateRequest& request) const;
  // InvalidArgument for an adapter that the runner cannot take; thread-safe.
  absl::Status CheckAdapter(const AdapterVersion& adapter) const;
  // Where its adapter begins (without the adapter where the prompt does not invoke it) and the
  // prefix keys of its prompt; thread-safe, so that the submitter's thread searches and hashes.
  std::unique_ptr<Request> MakeRequest(GenerateRequest spec) const;

  // REQUIRES: Validate was OK and no live request has this id.
  void Submit(std::unique_ptr<Request> request, absl::Time now);
  void Cancel(const std::string& request_id, int32_t choice, FinishReason reason);
  void OnLoadArriving(const LoadArriving& arriving) { residency_.OnLoadArriving(arriving); }
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
  int num_loading() const { return residency_.num_loading(); }
  // When PlanStep should be asked again although nothing happened: the earliest deadline.
  absl::Time next_deadline() const {
    return by_deadline_.empty() ? absl::InfiniteFuture() : (*by_deadline_.begin())->spec.deadline;
  }
  void FillStats(EngineStats* stats) const;
  std::vector<AdapterResidency> AdapterSnapshot() const { return residency_.Snapshot(); }
  ResidencyChanges TakeResidencyChanges() { return residency_.TakeChanges(); }
  // Durations of the loads that ended since the last call.
  std::vector<double> TakeLoadSeconds() { return std::exchange(load_seconds_, {}); }

 private:
  // submission.cc
  absl::Status CheckSampling(const GenerateRequest& request) const;

  // early_abort.cc
  absl::Time FirstTokenDeadline(const Request& request) const;
  void NoteFirstToken(const Sequence& sequence);
  void RefuseLate(absl::Time now);

  // admission.cc
  void Admit(absl::Time now);
  bool IsWindowFull() const;
  void Look(Sequence* sequence);
  void AdmitDeferred(absl::Time now);
  void Consider(ReclaimRank rank, Passed* passed, absl::Time now);
  Verdict TryAdmit(Sequence* sequence, ReclaimRank rank, absl::Time now);
  bool MayPass(const Sequence& sequence, Passed* passed);
  void AddPassed(Sequence* sequence, Passed* passed);
  void MakeOverdue(Sequence* sequence, Passed* passed);
  void NoteBlocked(Sequence* sequence, Blocked reason);
  bool IsOnItsWay(const Sequence& sequence) const;
  bool BeginsOnTheBase(const Sequence& sequence) const;
  bool IsReady(const Sequence& sequence) const;
  bool IsDeferred(const Sequence& sequence) const;
  std::optional<Blocked> StepLimit(const Sequence& sequence) const;
  int64_t CachedPages(const Sequence& sequence) const;
  bool JoinsPrefill(const Sequence& sequence, int64_t cached) const;
  bool FitsPeakToo(const Sequence& entering, int64_t adapter_pages);
  bool FitsPeak(const Sequence* entering, int64_t adapter_pages) const;
  int64_t PagesWanted(const Sequence& sequence, int64_t cached) const;
  bool Reserve(Sequence* sequence, int64_t cached, int64_t adapter_pages, ReclaimRank rank,
               absl::Time now);
  void LeaveQueue(Sequence* sequence);
  void ChargeAdmission(Sequence* sequence);
  void StageLoads(absl::Time now);

  // scheduler.cc
  void ExpireDeadlines(absl::Time now);
  void ReserveDecode(absl::Time now);
  bool AwaitStaged(absl::Time now);
  bool GrowByPage(Sequence* sequence);
  void Preempt(Sequence* sequence);
  std::vector<PlannedSequence> ChooseRows(absl::Time now);
  int64_t RowsThatMayRun(const Sequence& sequence, int64_t rows, absl::Time now) const;
  bool IsThereInTime(const Residency::Resident& adapter, int64_t rows, absl::Time now) const;
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
  const int32_t num_layers_;
  PageSupply pages_;
  ReclaimOrder order_;
  PrefixCache prefixes_;
  HostTier host_tier_;
  Residency residency_;
  absl::flat_hash_map<std::string, std::unique_ptr<Request>> requests_;
  std::set<Request*, SoonerDeadline> by_deadline_;  // those that have one
  FairQueue waiting_;
  std::set<Sequence*, OlderSequence> overdue_;  // of those: passed as often as they may be
  ActiveSet active_;
  PromptTurns prompts_;
  std::optional<Peak> too_large_;  // for this step's pages, by the conservative test
  std::vector<Candidate> window_;  // of this step's admission
  absl::flat_hash_map<PrefixKey, Sequence*> computing_;  // prompt pages being computed
  std::vector<PlannedSequence> planned_;                 // of the step under way
  std::vector<std::string> slow_;                        // requests whose stream was full in it
  std::function<void(const std::string&)> on_ended_ = [](const std::string&) {};
  std::vector<double> load_seconds_;
  absl::Time staged_patience_ = absl::InfinitePast();  // how long staged loads may take to yield
  int64_t pin_pages_ = 0;
  int64_t watermark_pages_ = 0;
  Pace pace_;
  absl::Time now_;                                   // when the step under way was planned
  absl::Time next_forecast_ = absl::InfinitePast();  // of RefuseLate
  uint64_t epoch_ = 0;
  uint64_t next_serial_ = 1;
  int64_t num_admitted_ = 0;  // requests
  EngineStats counters_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_SCHEDULER_H_
