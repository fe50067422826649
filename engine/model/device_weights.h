// DeviceWeights: a model's parameters in the memory of a device: matrices row-major [outputs,
// inputs] in the compute type, norms and biases in f32. Immutable once loaded; one buffer.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_WEIGHTS_H_
#define CHORUS_ENGINE_MODEL_DEVICE_WEIGHTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/model/weights_loader.h"
#include "kernels/device/device.h"

namespace chorus::engine {

class DeviceWeights {
 public:
  // `dtype` is kBf16 or kF16. Errors are those of LoadWeights; InvalidArgument naming the tensor
  // when a value overflows in `dtype`; ResourceExhausted when the device's memory is short. Done
  // when it returns. `device` must outlive the weights.
  static absl::StatusOr<DeviceWeights> Load(const std::string& model_dir, const ModelConfig& config,
                                            kernels::DType dtype, Shard shard,
                                            kernels::Device* device);

  // The device's, 256-byte aligned; null for what the model does not have.
  const void* Matrix(WeightRole role, int32_t layer = 0) const { return At(role, layer); }
  const float* Vector(WeightRole role, int32_t layer = 0) const {
    return static_cast<const float*>(At(role, layer));
  }
  // With tied embeddings the lm_head itself.
  const void* embedding() const {
    const void* const own = At(WeightRole::kEmbedding, 0);
    return own != nullptr ? own : At(WeightRole::kLmHead, 0);
  }

  kernels::DType dtype() const { return dtype_; }
  const std::string& digest() const { return digest_; }  // as LoadWeights says
  int64_t bytes() const { return memory_.bytes(); }

 private:
  friend class DeviceWeightsSink;

  const void* At(WeightRole role, int32_t layer) const {
    const int64_t offset =
        offsets_[static_cast<size_t>(layer) * kNumWeightRoles + static_cast<size_t>(role)];
    return offset < 0 ? nullptr : memory_.data() + offset;
  }

  kernels::DType dtype_ = kernels::DType::kBf16;
  std::vector<int64_t> offsets_;  // [layers, kNumWeightRoles] bytes into memory_, -1: none
  kernels::DeviceBuffer memory_;
  std::string digest_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_WEIGHTS_H_
