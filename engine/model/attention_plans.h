// AttentionPlans: the planners of a device's two attention launches, one for each row bucket, and
// the workspace that the launches share. Constant once made.
#ifndef CHORUS_ENGINE_MODEL_ATTENTION_PLANS_H_
#define CHORUS_ENGINE_MODEL_ATTENTION_PLANS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/device_batch.h"
#include "engine/model/model_config.h"
#include "kernels/attention/plan.h"
#include "kernels/device/device.h"

namespace chorus::engine {

// What the kernels of a step are launched with; what a captured graph is chosen by.
struct StepShape {
  int32_t rows = 0;         // of every matrix: a bucket
  int32_t decode_rows = 0;  // of the decodes' attention: a bucket, 0: no such launch
  int32_t chunk_rows = 0;   // of the prompts' attention: likewise
  // Tokens of a chunk of keys in either launch; a smaller one is asked for, a larger one comes
  // back.
  int32_t decode_chunk_tokens = 0;
  int32_t prompt_chunk_tokens = 0;
  bool prompt_split = true;
  bool lora = false;  // some row has an adapter
};

class AttentionPlans {
 public:
  // For up to `max_rows` rows, in these buckets. `decode_chunk_tokens`: least tokens of a chunk of
  // keys of decodes, as AttentionBatch has it. ResourceExhausted when memory is short.
  static absl::StatusOr<AttentionPlans> Create(kernels::Device* device, const ModelConfig& config,
                                               int32_t max_rows, int32_t decode_chunk_tokens);

  // Bytes of the largest plan.
  int32_t plan_bytes() const { return plan_bytes_; }
  int64_t workspace_bytes() const { return workspace_.bytes(); }
  std::byte* workspace() const { return workspace_.data(); }

  // Buckets for the batch, none smaller than `shape` has; writes both plans, each to plan_bytes()
  // of pinned memory, and what they came to into `shape`.
  absl::Status Plan(const DeviceBatch& batch, std::byte* decode_plan, std::byte* chunk_plan,
                    StepShape* shape) const;

  // REQUIRES: a bucket.
  const kernels::AttentionLayout& DecodeLayout(int32_t rows) const;
  const kernels::AttentionLayout& ChunkLayout(int32_t rows) const;

 private:
  std::vector<kernels::AttentionPlanner> decodes_, chunks_;  // ascending rows
  int32_t decode_chunk_tokens_ = 0;
  int32_t plan_bytes_ = 0;
  kernels::DeviceBuffer workspace_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_ATTENTION_PLANS_H_
