// CpuRunner: the forward pass on the CPU.
//
//   embed → L × [norm, qkv, RoPE + KV append, attention, o, norm, gate/up, SiLU·mul, down]
//         → norm and lm_head of the sampled rows → sample
//
// Each linear runs over all rows; LoRA adds its delta over the segments. The residual stream is
// f32; what a linear or a page takes in is in the compute type (that of the weights and the pool).
#ifndef CHORUS_ENGINE_MODEL_CPU_RUNNER_H_
#define CHORUS_ENGINE_MODEL_CPU_RUNNER_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/host_tensor.h"
#include "engine/model/model_config.h"
#include "engine/model/rope.h"
#include "engine/model/runner.h"
#include "engine/model/weights.h"
#include "kernels/device/compute_pool.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::engine {

struct CpuRunnerOptions {
  int num_workers = 1;           // compute threads, the caller's included
  int32_t max_rows = 512;        // of one step
  int32_t valid_vocabulary = 0;  // ids at or above it are never drawn; 0: the model's vocabulary
};

class CpuRunner : public Runner {
 public:
  // The pool's memory must outlive the runner. InvalidArgument when pool and weights do not fit.
  static absl::StatusOr<std::unique_ptr<CpuRunner>> Create(const ModelConfig& config,
                                                           Weights weights,
                                                           const kernels::PoolView& pool,
                                                           const CpuRunnerOptions& options);

  absl::StatusOr<StepResult> Run(const StepPlan& plan) override;

  // The same forward pass up to the logits of `rows`: [rows, vocabulary] f32. For tests.
  absl::StatusOr<std::vector<float>> RunForLogits(const StepPlan& plan,
                                                  std::span<const int32_t> rows);

  int64_t workspace_bytes() const;

 private:
  CpuRunner(const ModelConfig& config, Weights weights, const kernels::PoolView& pool,
            const CpuRunnerOptions& options);

  absl::Status Prepare(const StepPlan& plan);
  absl::Status Forward(const StepPlan& plan);
  absl::Status Attention(const StepPlan& plan, int32_t layer);
  absl::Status Mlp(const StepPlan& plan, int32_t layer);
  absl::Status Lora(const StepPlan& plan, int32_t layer, const kernels::LoraSite& site,
                    const kernels::TensorView& x, const kernels::TensorView& y);
  // Logits of the rows, as many as fit the workspace at once.
  absl::Status Logits(std::span<const int32_t> rows, kernels::TensorView* logits);

  const ModelConfig config_;
  const Weights weights_;
  const kernels::PoolView pool_;
  const CpuRunnerOptions options_;
  const RopeFrequencies rope_;
  kernels::ComputePool workers_;
  const kernels::Stream stream_;
  kernels::LoraSlotTable slots_;
  kernels::LoraSite qkv_site_, o_site_, gate_up_site_, down_site_;

  // Workspaces, sized for max_rows.
  HostTensor hidden_;     // [rows, hidden] f32, the residual stream
  HostTensor x_;          // [rows, max(hidden, heads · head_dim)] compute type
  HostTensor qkv_;        // [rows, (heads + 2 kv_heads) · head_dim] f32
  HostTensor gate_up_;    // [rows, 2 · intermediate] f32
  HostTensor act_;        // [rows, intermediate] compute type
  HostTensor xa_;         // [rows, 3 · kMaxLoraRank] f32
  HostTensor cos_sin_;    // [rows, head_dim] f32
  HostTensor sampled_;    // [logit rows, hidden] f32
  HostTensor sampled_x_;  // [logit rows, hidden] compute type
  HostTensor logits_;     // [logit rows, vocabulary] f32
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_CPU_RUNNER_H_
