// DeviceRunner: runs step plans on a device, whichever it is. Owns weights, workspaces, the pool,
// the slot table and one stream; device and libraries must outlive it. Engine thread only.
//
// A step is one block of metadata in pinned memory, one copy of it, and launches that read it; the
// blocks take turns, so the next one may be written while a step runs. Rows are padded to a bucket:
// padding computes token 0, keeps no K and V, and nobody looks at it.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_RUNNER_H_
#define CHORUS_ENGINE_MODEL_DEVICE_RUNNER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/attention_plans.h"
#include "engine/model/decode_graphs.h"
#include "engine/model/device_batch.h"
#include "engine/model/device_decoder.h"
#include "engine/model/device_host_pages.h"
#include "engine/model/device_pool.h"
#include "engine/model/device_sampler.h"
#include "engine/model/device_slots.h"
#include "engine/model/device_weights.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/model/step_block.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"
#include "kernels/library/library_ops.h"

namespace chorus::engine {

struct DeviceRunnerOptions {
  int32_t max_rows = 512;        // of one step
  int32_t max_graph_rows = 256;  // steps of decodes up to here are captured at start; 0: none
  // Of one step: adapters, twice where they decode and prefill, and sequences that cross from the
  // base to an adapter.
  int32_t max_segments = 192;
  int32_t max_page_copies = 64;
  int32_t max_page_ids = 1 << 16;   // of all sequences of a step
  int32_t max_penalties = 1 << 18;  // distinct ids of all samples of a step
  int32_t max_biases = 1 << 14;
  int32_t max_slots = 1024;          // of the slot table
  int32_t max_adapter_pages = 1024;  // of one adapter
  int32_t max_lora_rank = kernels::kMaxLoraRank;
  int32_t max_rank_sum = 4096;       // of one step: Σ over distinct adapters of their largest rank
  int32_t max_crossing_ranks = 512;  // the same over sequences that cross
  DeviceLoraSharing lora;
  // Least tokens of a chunk of keys in the attention of decodes, a power of two from 128 on; 0: as
  // the batch asks for.
  int32_t decode_chunk_tokens = 0;
  bool attention_early = false;  // its kernels may (LaunchBegin); off: no gain in steps
  int32_t valid_vocabulary = 0;  // ids at or above it are never drawn; 0: the model's vocabulary
  bool time_steps = false;       // for benches: last_step_us
  int64_t host_page_bytes = 0;   // pinned, for pages of KV that leave the pool
  DevicePoolSize pool;

  int64_t max_segment_ranks() const { return 2 * int64_t{max_rank_sum} + max_crossing_ranks; }
};

// Bytes of the device that a runner has taken, by what for, and of pinned memory.
struct DeviceMemoryUse {
  int64_t weights = 0;
  int64_t activations = 0;
  int64_t lora = 0;
  int64_t attention = 0;
  int64_t steps = 0;  // metadata of a step, sampling, the slot table
  int64_t pool = 0;
  int64_t graphs = 0;  // by what was free before and after
  int64_t pinned = 0;
};

class DeviceRunner : public Runner {
 public:
  // Takes workspaces, measures GEMMs, takes the pool of what is left, captures graphs, in this
  // order: a graph knows the pool's address. Allocates nothing later; whoever has taken all else
  // seals the device. InvalidArgument when weights, options and device do not fit each other;
  // ResourceExhausted when memory is short.
  static absl::StatusOr<std::unique_ptr<DeviceRunner>> Create(kernels::Device* device,
                                                              kernels::LibraryOps* ops,
                                                              const ModelConfig& config,
                                                              DeviceWeights weights,
                                                              const DeviceRunnerOptions& options);
  // Waits for what runs.
  ~DeviceRunner() override;

  // InvalidArgument for a plan that is not well formed or beyond the options; the runner stays
  // usable. Any other error is the device's.
  absl::StatusOr<StepResult> Run(const StepPlan& plan) override;
  absl::Status Check() override { return stream_->Synchronize(); }

  // The same forward pass up to the logits of `rows`, which need not be sorted:
  // [rows, vocabulary] f32. The plan's own samples are not drawn. A shape makes the step's buckets
  // and chunks no smaller than it says, so that a request alone runs as in a larger batch.
  absl::StatusOr<std::vector<float>> RunForLogits(const StepPlan& plan,
                                                  std::span<const int32_t> rows,
                                                  const StepShape& least = {});

  // Of the last step.
  const StepShape& last_shape() const { return step_.shape; }
  // The device's, its B tiles in fragments; as long as the runner.
  const kernels::PoolView& pool() const { return pool_.view(); }
  DeviceMemoryUse memory_use() const;
  int64_t num_host_pages() const { return host_pages_.num_slots(); }
  // The device's time from the first to the last that the last Run enqueued. REQUIRES: time_steps,
  // and a Run that succeeded.
  absl::StatusOr<double> last_step_us() const { return timer_->ElapsedUs(); }

 private:
  struct Turn {
    kernels::DeviceBuffer pinned;
    std::unique_ptr<kernels::DeviceEvent> read;  // the device has copied it
  };

  DeviceRunner(kernels::Device* device, kernels::LibraryOps* ops, const ModelConfig& config,
               DeviceWeights weights, const DeviceRunnerOptions& options);

  absl::Status Start();
  absl::Status TakeWorkspaces();
  absl::Status TakePool();
  // Captures the steps of decodes, over a batch of nothing but padding.
  absl::Status CaptureGraphs();
  absl::Status CheckPlan(const StepPlan& plan) const;
  // Of the batch's segments.
  absl::Status CheckRanks(const StepPlan& plan) const;
  // The pinned block that is written next.
  absl::StatusOr<std::byte*> NextBlock();
  // Orders the plan's rows, checks what that shows, and writes all but its samples.
  absl::Status WriteBlock(const StepPlan& plan, const StepShape& least, std::byte* pinned);
  void WriteRows(const StepPlan& plan, std::byte* pinned) const;
  // Enqueues all of a step whose block is written, up to the copy of what was drawn.
  absl::Status Enqueue(const StepPlan& plan, std::byte* pinned);
  // Enqueues slot changes, the block, moves and copies of pages, and the layers.
  absl::Status Forward(const StepPlan& plan, std::byte* pinned);
  absl::Status CopyBlock(std::byte* pinned);
  absl::Status CopyPages(const StepPlan& plan);
  // Kept rows become the batch's rows of `plan_rows`, ascending and distinct.
  void Keep(std::span<const int32_t> plan_rows);
  int32_t KeptIndex(int32_t plan_row) const;

  kernels::Device& device_;
  kernels::LibraryOps& ops_;
  const ModelConfig config_;
  const DeviceWeights weights_;
  const kernels::PoolView geometry_;  // of the pool
  DevicePool pool_;
  DeviceHostPages host_pages_;
  DeviceRunnerOptions options_;
  StepLimits limits_;
  StepBlock block_;
  AttentionPlans attention_;
  DeviceSlots slots_;
  DeviceSampler sampler_;
  std::unique_ptr<DeviceDecoder> decoder_;
  DecodeGraphs graphs_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<kernels::DeviceEvent> done_;
  std::unique_ptr<kernels::DeviceTimer> timer_;  // null: steps are not timed
  kernels::DeviceBuffer device_block_;
  kernels::DeviceBuffer pinned_logits_;  // of one turn, for RunForLogits
  std::array<Turn, 3> turns_;
  size_t next_turn_ = 0;
  int64_t graph_bytes_ = 0;

  // Reused from step to step.
  DeviceBatch batch_;
  DeviceStep step_;
  std::vector<int32_t> plan_kept_;    // the plan's row of each sample
  std::vector<int32_t> kept_rows_;    // distinct rows of the batch, ascending
  std::vector<int32_t> sample_kept_;  // the kept row of each sample
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_RUNNER_H_
