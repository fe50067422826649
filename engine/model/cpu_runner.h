// CpuRunner: runs step plans on the CPU. Owns the decoder with its weights, the compute workers and
// the slot table; the pool's memory must outlive it. Engine thread only, which is worker 0.
#ifndef CHORUS_ENGINE_MODEL_CPU_RUNNER_H_
#define CHORUS_ENGINE_MODEL_CPU_RUNNER_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/cpu_decoder.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/model/weights.h"
#include "kernels/copy/host_pages.h"
#include "kernels/device/compute_pool.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::engine {

struct CpuRunnerOptions {
  int num_workers = 1;           // compute threads, the caller's included
  int32_t max_rows = 512;        // of one step
  int32_t max_slots = 65536;     // of the slot table
  int32_t valid_vocabulary = 0;  // ids at or above it are never drawn; 0: the model's vocabulary
  kernels::HostPagesView host_pages;  // memory of the caller's, as long as the pool's
};

class CpuRunner : public Runner {
 public:
  // InvalidArgument when pool, weights and options do not fit each other; ResourceExhausted when
  // memory is short.
  static absl::StatusOr<std::unique_ptr<CpuRunner>> Create(const ModelConfig& config,
                                                           Weights weights,
                                                           const kernels::PoolView& pool,
                                                           const CpuRunnerOptions& options);

  // InvalidArgument for a plan that is not well formed; the runner itself stays usable.
  absl::StatusOr<StepResult> Run(const StepPlan& plan) override;

  // The same forward pass up to the logits of `rows`, which need not be sorted:
  // [rows, vocabulary] f32. The plan's own samples are not drawn.
  absl::StatusOr<std::vector<float>> RunForLogits(const StepPlan& plan,
                                                  std::span<const int32_t> rows);

  int64_t workspace_bytes() const { return decoder_->workspace_bytes(); }

 private:
  CpuRunner(std::unique_ptr<CpuDecoder> decoder, const kernels::PoolView& pool,
            const CpuRunnerOptions& options);

  // Checks the plan, applies its slot changes, moves and copies pages, and runs the layers, keeping
  // the rows of kept_rows_.
  absl::Status Forward(const StepPlan& plan);
  absl::Status CheckPlan(const StepPlan& plan) const;
  // Samples of kept rows [first, first + count), which are order_[begin …]; returns their end.
  absl::StatusOr<size_t> SampleRows(const StepPlan& plan, int64_t first, int64_t count,
                                    size_t begin, StepResult* result);
  int64_t KeptIndex(int32_t row) const;

  const std::unique_ptr<CpuDecoder> decoder_;
  const kernels::PoolView pool_;
  const CpuRunnerOptions options_;
  kernels::ComputePool workers_;
  const kernels::Stream stream_;
  kernels::LoraSlotTable slots_;

  // Reused from step to step.
  std::vector<int32_t> kept_rows_;            // distinct sampled rows, ascending
  std::vector<size_t> order_;                 // the plan's samples by kept row
  std::vector<kernels::SampleRow> samples_;   // of one turn of logits
  std::vector<kernels::SampledToken> drawn_;  // likewise
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_CPU_RUNNER_H_
