// DeviceLinears: a model's matrix products on a device, one planned shape for each linear and row
// bucket. Enqueues only; one thread and one stream at a time.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_LINEARS_H_
#define CHORUS_ENGINE_MODEL_DEVICE_LINEARS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/device_weights.h"
#include "engine/model/model_config.h"
#include "kernels/device/device.h"
#include "kernels/library/library_ops.h"

namespace chorus::engine {

// What the products are planned with. x [rows, widest input], y [rows, widest output of a layer]
// f32 and logits [rows, LogitsStride] f32 serve for measuring; y and logits are overwritten.
struct DeviceLinearsArgs {
  kernels::LibraryOps* ops = nullptr;
  const ModelConfig* config = nullptr;
  const DeviceWeights* weights = nullptr;
  std::vector<int32_t> row_buckets;    // of the layers' linears, ascending
  std::vector<int32_t> logit_buckets;  // of the lm_head
  // That LoRA leaves to the layers' linears; 0: they are planned as if alone.
  int32_t multiprocessors_beside_lora = 0;
  const void* x = nullptr;
  float* y = nullptr;
  float* logits = nullptr;
};

class DeviceLinears {
 public:
  // Columns of a row of logits: the vocabulary, and up to where the next row may begin.
  static int64_t LogitsStride(const ModelConfig& config);

  // Plans every linear for each bucket. Blocks. `ops` and `weights` must outlive the linears.
  static absl::StatusOr<DeviceLinears> Create(const DeviceLinearsArgs& args,
                                              kernels::DeviceStream* stream);

  // y [rows, outputs] f32 = x [rows, inputs] · Wᵀ, of a matrix role that is not the embedding,
  // alone or while LoRA runs. REQUIRES: `rows` is a bucket of the role.
  absl::Status Run(WeightRole role, int32_t layer, int32_t rows, bool beside_lora, const void* x,
                   float* y, kernels::DeviceStream* stream) const;

 private:
  using Numbers = std::vector<int32_t>;  // [buckets of the role]

  // Of the role's matrices, each with `layers`.
  absl::StatusOr<Numbers> Plan(WeightRole role, const kernels::DeviceLinearShape& shape,
                               int32_t layers, float* y, kernels::DeviceStream* stream) const;
  const std::vector<int32_t>& BucketsOf(WeightRole role) const {
    return role == WeightRole::kLmHead ? args_.logit_buckets : args_.row_buckets;
  }

  DeviceLinearsArgs args_;
  std::array<Numbers, kNumWeightRoles> alone_, beside_lora_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_LINEARS_H_
