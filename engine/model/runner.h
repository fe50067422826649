// Runner: computes one StepPlan. The engine thread calls it; an implementation owns its weights and
// workspaces, and its slot table, which changes only by StepPlan::slot_changes.
#ifndef CHORUS_ENGINE_MODEL_RUNNER_H_
#define CHORUS_ENGINE_MODEL_RUNNER_H_

#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/step_plan.h"
#include "kernels/lora/tiles.h"

namespace chorus::engine {

// What a runner can take, where that is less than EngineOptions and the model allow. The scheduler
// plans no step beyond it; a request or an adapter that is beyond it alone is refused by name.
struct RunnerLimits {
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  int64_t max_step_pages = kNone;      // of all sequences of a step, a shared one each time
  int64_t max_step_penalties = kNone;  // Σ over samples of the distinct ids that penalties touch
  int64_t max_step_biases = kNone;     // Σ over samples
  int64_t max_adapters = kNone;        // in the pool or on their way there
  int64_t max_adapter_pages = kNone;
  // Σ over the sequences of a step that cross from the base to an adapter, of its largest rank in
  // whole tiles. Beyond it a prompt is cut where its adapter begins.
  int64_t max_step_crossing_ranks = kNone;
  int32_t max_adapter_rank = kernels::kMaxLoraRank;
  // What it offers beside: slots on the host for pages that leave the pool (StepPlan::saves), and
  // how long a page takes to or from one.
  int64_t host_pages = 0;
  absl::Duration host_page_time;
};

class Runner {
 public:
  virtual ~Runner() = default;

  // Runs the plan to its end. A Status means that the device is lost: the engine fails all work in
  // flight. A row whose logits are not finite gives token -1 and harms nobody else.
  virtual absl::StatusOr<StepResult> Run(const StepPlan& plan) = 0;

  // OK unless the device is lost. Asked when a load has failed: where nothing runs, no step would
  // find out.
  virtual absl::Status Check() { return absl::OkStatus(); }
};

// Which part of a model a runner, its weights and its pool hold, under tensor parallelism.
struct Shard {
  int rank = 0;
  int num_ranks = 1;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_RUNNER_H_
