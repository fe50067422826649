// StepRig: a model with random weights on a device, a pool full of random pages, and the runner of
// devices over both: it lays out the steps of cases and runs them. One thread.
#ifndef CHORUS_BENCH_GPU_STEP_RIG_H_
#define CHORUS_BENCH_GPU_STEP_RIG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/gpu/random_fill.h"
#include "bench/gpu/step_cases.h"
#include "engine/model/device_runner.h"
#include "engine/model/step_plan.h"
#include "kernels/device/device.h"
#include "kernels/library/library_ops.h"

namespace chorus::bench {

struct StepRigOptions {
  int64_t pool_bytes = 0;                     // 0: what is free, but for the reserve
  int64_t reserve_bytes = int64_t{3} << 30;   // for the ceilings
  int64_t pattern_bytes = int64_t{64} << 20;  // of random numbers
  bool graphs = true;                         // decodes run as graphs, as they are served
  engine::DeviceLoraSharing lora;
  int32_t decode_chunk_tokens = 0;  // both as DeviceRunnerOptions has them
  bool attention_early = false;
  uint32_t seed = 1;                // of tokens and of the order of pages
  std::function<double()> now_us;   // the host's clock; null: the steady one
};

// A step, and what the slots hold when it runs.
struct PreparedStep {
  engine::StepPlan plan;
  std::vector<std::shared_ptr<const kernels::LoraSlot>> slots;  // those behind are empty
};

struct StepTime {
  double device_us = 0.0;  // from the first to the last of what the step enqueues
  double wall_us = 0.0;    // of Runner::Run
};

class StepRig {
 public:
  // `device` and `ops` must outlive the rig. ResourceExhausted when memory is short; other errors
  // are the runner's.
  static absl::StatusOr<std::unique_ptr<StepRig>> Create(kernels::Device* device,
                                                         kernels::LibraryOps* ops,
                                                         const StepModel& model,
                                                         const StepRigOptions& options);

  // Pages of sequences, then of adapters, from all over the pool: the same for a case without
  // adapters. ResourceExhausted when the pool has fewer.
  absl::StatusOr<PreparedStep> Prepare(const StepCase& c);
  // Fills and empties slots, by running the step once.
  absl::Status Enter(PreparedStep* step);
  // Internal when a row's logits were not finite. REQUIRES: Enter, and no other one since.
  absl::StatusOr<StepTime> Run(PreparedStep* step);

  double NowUs() const { return options_.now_us(); }
  const StepModel& model() const { return model_; }
  const StepRigOptions& options() const { return options_; }
  kernels::Device& device() { return device_; }
  kernels::LibraryOps& ops() { return ops_; }
  engine::DeviceRunner& runner() { return *runner_; }
  engine::DeviceRunnerOptions RunnerOptions() const;
  const kernels::PoolView& pool() const { return runner_->pool(); }

 private:
  StepRig(kernels::Device* device, kernels::LibraryOps* ops, const StepModel& model,
          const StepRigOptions& options);

  absl::Status Start();
  absl::StatusOr<engine::DeviceWeights> MakeWeights(RandomFill* fill) const;
  kernels::PoolView Geometry() const;
  void AddSequence(const StepSequence& sequence, const std::vector<int32_t>& pages,
                   engine::StepPlan* plan);

  kernels::Device& device_;
  kernels::LibraryOps& ops_;
  const StepModel model_;
  StepRigOptions options_;
  std::unique_ptr<engine::DeviceRunner> runner_;
  std::vector<int32_t> shuffled_;  // every page
  kernels::SamplingParams greedy_;
  uint64_t epoch_ = 0;
  size_t slots_in_use_ = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_RIG_H_
