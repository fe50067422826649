// CpuDecoder: a model's layers on the CPU, from tokens to the residual rows that are sampled, and
// from those to logits. Owns the weights and the workspaces; the pool is only borrowed. One thread
// at a time.
//
//   embed → L × [norm, qkv, RoPE + KV append, attention, o, norm, gate/up, SiLU·mul, down]
//
// Each linear runs over all rows; LoRA adds its delta over the segments. The residual stream is
// f32; what a linear or a page takes in is in the compute type (that of the weights and the pool).
#ifndef CHORUS_ENGINE_MODEL_CPU_DECODER_H_
#define CHORUS_ENGINE_MODEL_CPU_DECODER_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/host_tensor.h"
#include "engine/model/model_config.h"
#include "engine/model/rope.h"
#include "engine/model/step_plan.h"
#include "engine/model/weights.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::engine {

class CpuDecoder {
 public:
  // Rows of logits that are computed at once.
  static constexpr int64_t kMaxLogitRows = 64;

  // ResourceExhausted when the workspaces for `max_rows` find no memory.
  static absl::StatusOr<std::unique_ptr<CpuDecoder>> Create(const ModelConfig& config,
                                                            Weights weights,
                                                            const kernels::PoolView& pool,
                                                            int64_t max_rows);

  // Computes the plan's rows: K and V of all into their pages, the residual of `kept` (ascending,
  // distinct) to the end. InvalidArgument when the plan does not fit.
  // REQUIRES: at most max_rows rows, and `kept` among them.
  absl::Status Run(const StepPlan& plan, std::span<const int32_t> kept,
                   const kernels::LoraSlotTable& slots, const kernels::Stream& stream);

  // Logits [count, vocabulary] f32 of kept rows [first, first + count) of the last Run; they live
  // until the next call. REQUIRES: count <= kMaxLogitRows.
  absl::StatusOr<kernels::TensorView> Logits(int64_t first, int64_t count,
                                             const kernels::Stream& stream);

  int64_t max_rows() const { return residual_.rows(); }
  int64_t workspace_bytes() const;

 private:
  // What a stretch of layers works on.
  struct Batch {
    int64_t rows = 0;
    std::span<const kernels::LoraSegment> segments;
    const kernels::LoraSlotTable* slots = nullptr;
    kernels::Stream stream;
  };

  CpuDecoder(const ModelConfig& config, Weights weights, const kernels::PoolView& pool);

  absl::Status AllocateWorkspaces(int64_t max_rows);
  // Norm, qkv and the append: leaves q rotated in wide_.
  absl::Status AppendKv(const StepPlan& plan, const Batch& batch, int32_t layer);
  // Attention over the pages: q in wide_ to narrow_.
  absl::Status Attend(const StepPlan& plan, const Batch& batch, int32_t layer);
  // o, over what attention left in narrow_.
  absl::Status ProjectOut(const Batch& batch, int32_t layer);
  absl::Status Mlp(const Batch& batch, int32_t layer);
  absl::Status Lora(const Batch& batch, int32_t layer, const kernels::LoraSite& site,
                    const kernels::TensorView& x, const kernels::TensorView& y);
  // Moves the kept rows of the residual and of narrow_ to the front.
  Batch Keep(const Batch& batch, std::span<const int32_t> kept);

  const ModelConfig config_;
  const Weights weights_;
  const kernels::PoolView pool_;
  const RopeFrequencies rope_;
  const kernels::LoraSite qkv_site_, o_site_, gate_up_site_, down_site_;

  // Workspaces. A linear reads narrow_ and writes wide_ or adds to the residual.
  HostTensor residual_;  // [max_rows, hidden] f32
  HostTensor narrow_;    // [max_rows, the widest input] compute type
  HostTensor wide_;      // [max_rows, the wider of qkv and gate_up] f32
  HostTensor xa_;        // [max_rows, 3 · kMaxLoraRank] f32
  HostTensor cos_sin_;   // [max_rows, head_dim] f32
  HostTensor logits_;    // [kMaxLogitRows, vocabulary] f32
  std::vector<kernels::LoraSegment> kept_segments_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_CPU_DECODER_H_
