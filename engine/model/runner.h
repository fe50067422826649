// Runner: computes one StepPlan. The engine thread calls it; an implementation owns its weights and
// workspaces, and its slot table, which changes only by StepPlan::slot_changes.
#ifndef CHORUS_ENGINE_MODEL_RUNNER_H_
#define CHORUS_ENGINE_MODEL_RUNNER_H_

#include "absl/status/statusor.h"
#include "engine/model/step_plan.h"

namespace chorus::engine {

class Runner {
 public:
  virtual ~Runner() = default;

  // Runs the plan to its end. A Status means that the device is lost: the engine fails all work in
  // flight. A row whose logits are not finite gives token -1 and harms nobody else.
  virtual absl::StatusOr<StepResult> Run(const StepPlan& plan) = 0;
};

// Which part of a model a runner, its weights and its pool hold, under tensor parallelism.
struct Shard {
  int rank = 0;
  int num_ranks = 1;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_RUNNER_H_
