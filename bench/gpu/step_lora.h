// LoRA's part of a step alone, as the runner launches it (DeviceLora): all sites of all layers, and
// each site by itself, against the bytes of the adapters.
#ifndef CHORUS_BENCH_GPU_STEP_LORA_H_
#define CHORUS_BENCH_GPU_STEP_LORA_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/gpu/step_cases.h"
#include "bench/gpu/step_rig.h"

namespace chorus::bench {

struct LoraSiteTime {
  engine::DeviceSite site = engine::DeviceSite::kQkv;
  int64_t bytes = 0;
  double us = 0.0;  // of all layers
};

struct LoraTimes {
  int64_t bytes = 0;
  double us = 0.0;       // of a step, its plan included
  double plan_us = 0.0;  // of that alone
  std::vector<LoraSiteTime> sites;
};

// Workspaces and slots of its own, in the rig's pool.
class LoraProbe {
 public:
  // Errors are those of DeviceLora and DeviceSlots.
  static absl::StatusOr<LoraProbe> Create(StepRig* rig);

  // Medians of `replays` replays of graphs. ResourceExhausted when the pool is too small.
  absl::StatusOr<LoraTimes> Measure(const StepCase& c, int replays);

 private:
  explicit LoraProbe(StepRig* rig) : rig_(rig) {}

  absl::Status Load(const PreparedStep& step);
  absl::Status EnqueuePlan(int32_t rows);
  absl::Status EnqueueSite(engine::DeviceSite site, int32_t layer, int32_t rows);
  // The median of replays of what `enqueue` captures.
  template <class Enqueue>
  absl::StatusOr<double> TimeGraph(int replays, const Enqueue& enqueue);

  StepRig* rig_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<kernels::DeviceTimer> timer_;
  engine::DeviceSlots slots_;
  engine::DeviceLora lora_;
  // [max_segments], their number behind them, and a word that nobody reads.
  kernels::DeviceBuffer segments_, pinned_;
  int32_t max_segments_ = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_LORA_H_
