// TimedRunner: the engine's runner with a stop-watch. It notes for every step when it ran, how many
// rows it had, and what the step has to read and to compute, from which its floor follows.
#ifndef CHORUS_BENCH_SERVING_TIMED_RUNNER_H_
#define CHORUS_BENCH_SERVING_TIMED_RUNNER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/model/step_plan.h"
#include "kernels/device/dtype.h"
#include "kernels/mutex.h"

namespace chorus::bench {

struct StepRecord {
  double begin = 0.0;  // monotonic seconds; of the runner alone
  double end = 0.0;
  int64_t rows = 0;
  int64_t samples = 0;
  int64_t adapters = 0;  // distinct ones
  double bytes = 0.0;    // weights, adapters' weights and KV, each once
  double flops = 0.0;    // of linears, adapters and attention
};

// Run is the engine thread's; the rest is thread-safe.
class TimedRunner : public engine::Runner {
 public:
  // `dtype` is that of weights, KV and adapters alike.
  TimedRunner(const engine::ModelConfig& config, kernels::DType dtype,
              std::unique_ptr<engine::Runner> runner)
      : config_(config), dtype_(dtype), runner_(std::move(runner)) {}

  absl::StatusOr<engine::StepResult> Run(const engine::StepPlan& plan) override;

  // Blocks until `count` tokens were drawn since the last TakeSteps. Nobody is woken before that,
  // so that waiting takes no time from the steps.
  void WaitForTokens(int64_t count);
  std::vector<StepRecord> TakeSteps();

 private:
  // Fills rows to flops.
  void CountWork(const engine::StepPlan& plan, StepRecord* step);

  const engine::ModelConfig config_;
  const kernels::DType dtype_;
  const std::unique_ptr<engine::Runner> runner_;
  std::vector<int64_t> slot_weights_;  // elements of the adapter in each slot; engine thread only

  kernels::Mutex mutex_;
  kernels::CondVar reached_;
  std::vector<StepRecord> steps_ CHORUS_GUARDED_BY(mutex_);
  int64_t tokens_ CHORUS_GUARDED_BY(mutex_) = 0;
  int64_t awaited_ CHORUS_GUARDED_BY(mutex_) = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SERVING_TIMED_RUNNER_H_
