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

class DeviceLinears {
 public:
  // Columns of a row of logits: the vocabulary, and up to where the next row may begin.
  static int64_t LogitsStride(const ModelConfig& config);

  // Plans every linear for each of `row_buckets`, the lm_head for each of `logit_buckets` (both
  // ascending). x [rows, widest input], y [rows, widest output of a layer] f32 and logits [rows,
  // LogitsStride] f32 serve for measuring; y and logits are overwritten. Blocks. `ops` and
  // `weights` must outlive the linears.
  static absl::StatusOr<DeviceLinears> Create(kernels::LibraryOps* ops, const ModelConfig& config,
                                              const DeviceWeights* weights,
                                              std::vector<int32_t> row_buckets,
                                              std::vector<int32_t> logit_buckets, const void* x,
                                              float* y, float* logits,
                                              kernels::DeviceStream* stream);

  // y [rows, outputs] f32 = x [rows, inputs] · Wᵀ, of a matrix role that is not the embedding.
  // REQUIRES: `rows` is a bucket of the role.
  absl::Status Run(WeightRole role, int32_t layer, int32_t rows, const void* x, float* y,
                   kernels::DeviceStream* stream) const;

 private:
  absl::Status Plan(WeightRole role, const kernels::DeviceLinearShape& shape, int32_t layers,
                    const std::vector<int32_t>& buckets, const void* x, float* y,
                    kernels::DeviceStream* stream);

  kernels::LibraryOps* ops_ = nullptr;
  const DeviceWeights* weights_ = nullptr;
  std::vector<int32_t> row_buckets_, logit_buckets_;
  std::array<std::vector<int32_t>, kNumWeightRoles> numbers_;  // [buckets of the role]
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_LINEARS_H_
