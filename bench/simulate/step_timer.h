// StepTimer: how long a step plan would take on a machine. Bytes and products as bench/gpu counts
// them (step_cost.h), at the machine's rates.
#ifndef CHORUS_BENCH_SIMULATE_STEP_TIMER_H_
#define CHORUS_BENCH_SIMULATE_STEP_TIMER_H_

#include <cstdint>
#include <vector>

#include "bench/gpu/step_cost.h"
#include "bench/simulate/machines.h"
#include "engine/model/step_plan.h"

namespace chorus::bench {

class StepTimer {
 public:
  explicit StepTimer(const Machine& machine);

  // Seconds. REQUIRES: every plan is shown once, in order, because slots change with them; adapters
  // have one rank in all their modules.
  double Time(const engine::StepPlan& plan);
  // What the last plan had to move and compute.
  const StepCost& cost() const { return cost_; }

 private:
  struct Slot {
    int64_t bytes = 0;
    double row_flops = 0.0;
  };

  void ApplySlotChanges(const engine::StepPlan& plan);

  const engine::ModelConfig config_;
  const ModelCost model_;
  const StepTimes times_;
  std::vector<Slot> slots_;
  StepCost cost_;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_STEP_TIMER_H_
