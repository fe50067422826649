// Replica: one real Scheduler in virtual time. What Engine's thread does between the inbox and the
// bell happens here, in its order, with a StepTimer for a clock: a step begins when the one before
// has ended, and what arrives meanwhile waits for its end. Streams are drained after every step.
#ifndef CHORUS_BENCH_SIMULATE_REPLICA_H_
#define CHORUS_BENCH_SIMULATE_REPLICA_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/simulate/simulated_loads.h"
#include "bench/simulate/step_timer.h"
#include "engine/model/runner.h"
#include "engine/schedule/scheduler.h"

namespace chorus::bench {

// Draws token 1, and the stop token 0 where an answer ends: for workloads whose output lengths are
// given.
class TokenRunner : public engine::Runner {
 public:
  // The answer to a request is to end before that position.
  void EndBefore(uint64_t request, int64_t position) { ends_[request] = position; }
  absl::StatusOr<engine::StepResult> Run(const engine::StepPlan& plan) override;

 private:
  absl::flat_hash_map<uint64_t, int64_t> ends_;
};

// What readers and watchers of a replica see.
class ReplicaListener {
 public:
  virtual ~ReplicaListener() = default;
  // `request` is the number that it was submitted under.
  virtual void OnEvent(uint64_t request, const engine::StreamEvent& event, Nanos now) = 0;
  virtual void OnStep(const engine::StepPlan& /*plan*/, const StepCost& /*cost*/, Nanos /*took*/) {}
};

// Of this thread, as the operating system counts it: others who share the machine do not matter.
double ProcessorSeconds();

// Processor's time of the scheduler itself.
struct SchedulerSeconds {
  double submit = 0.0;
  double plan = 0.0;
  double commit = 0.0;
};

class Replica {
 public:
  // A message to the scheduler, as Engine posts them.
  using Message = std::function<void(engine::Scheduler*, absl::Time now)>;

  // `runner` draws the tokens; it and `listener` outlive the replica. `model` may leave all to
  // `machine`.
  Replica(const Machine& machine, const engine::EngineOptions& options,
          const engine::ModelLimits& model, engine::Runner* runner, ReplicaListener* listener);
  ~Replica();

  static engine::ModelLimits LimitsOf(const Machine& machine);

  // Whether it can ever be served.
  absl::Status Validate(const engine::GenerateRequest& request) const {
    return scheduler_.intake().Validate(request);
  }
  // `now` is not before that of any call before. The request's id and its sampling's seed become
  // `number`, which no other request has had.
  void Submit(uint64_t number, engine::GenerateRequest request, Nanos now);
  void Post(Message message, Nanos now);

  // When something happens next; kNever when nothing will.
  Nanos next() const;
  // Does what happens next. REQUIRES: next() is not kNever.
  void Advance();

  bool idle() const { return outstanding_ == 0; }
  int64_t outstanding() const { return outstanding_; }  // requests that have not ended
  SimulatedLoads* loads() { return &loads_; }
  engine::EngineStats stats() const;
  const SchedulerSeconds& scheduler_seconds() const { return seconds_; }

 private:
  void EndStep();
  void BeginStep();
  void DrainStreams();
  void Drain(uint64_t number);

  const int32_t num_layers_;
  engine::Runner* const runner_;
  ReplicaListener* const listener_;
  StepTimer timer_;
  SimulatedLoads loads_;
  engine::StreamBell bell_;
  engine::Scheduler scheduler_;
  const std::shared_ptr<engine::TokenStream> nobody_;  // rings the bell where nobody else does
  std::vector<std::pair<Nanos, Message>> inbox_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<engine::TokenStream>> streams_;
  std::vector<uint64_t> news_;  // requests to drain
  std::vector<uint64_t> ended_;
  std::optional<engine::StepPlan> plan_;  // of the step under way
  engine::StepResult result_;
  Nanos now_ = 0;
  Nanos step_begin_ = 0;
  Nanos step_end_ = 0;
  int idle_waits_ = 0;  // in which nothing was under way
  int64_t outstanding_ = 0;
  SchedulerSeconds seconds_;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_REPLICA_H_
