// DeviceWeights: a model's parameters in the memory of a device: matrices row-major [outputs,
// inputs] in the compute type, norms and biases in f32. Immutable once loaded; one buffer.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_WEIGHTS_H_
#define CHORUS_ENGINE_MODEL_DEVICE_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/model/weights_loader.h"
#include "kernels/device/device.h"

namespace chorus::engine {

struct WeightShape {
  WeightPlace place;
  int64_t rows = 0;  // of a vector 1
  int64_t cols = 0;
};

class DeviceWeights {
 public:
  // `dtype` is kBf16 or kF16. Errors are those of LoadWeights; InvalidArgument naming the tensor
  // when a value overflows in `dtype`; ResourceExhausted when the device's memory is short. Done
  // when it returns. `device` must outlive the weights.
  static absl::StatusOr<DeviceWeights> Load(const std::string& model_dir, const ModelConfig& config,
                                            kernels::DType dtype, Shard shard,
                                            kernels::Device* device);

  // Parameters that no checkpoint has, for benches and tests: `write` leaves the rows · cols
  // elements of one, of the type that is said, at `to` on the device; its errors are passed on.
  using Write =
      std::function<absl::Status(const WeightShape&, kernels::DType dtype, std::byte* to)>;
  static absl::StatusOr<DeviceWeights> Make(std::span<const WeightShape> shapes,
                                            kernels::DType dtype, kernels::Device* device,
                                            const Write& write);

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

  static size_t Index(const WeightPlace& place) {
    return static_cast<size_t>(place.layer) * kNumWeightRoles + static_cast<size_t>(place.role);
  }
  kernels::DType TypeOf(WeightRole role) const {
    return IsMatrix(role) ? dtype_ : kernels::DType::kF32;
  }
  // Places a parameter behind `bytes` others; returns the bytes of all.
  int64_t Add(const WeightShape& shape, int64_t bytes);

  const void* At(WeightRole role, int32_t layer) const {
    const int64_t offset = offsets_[Index({role, layer})];
    return offset < 0 ? nullptr : memory_.data() + offset;
  }

  kernels::DType dtype_ = kernels::DType::kBf16;
  std::vector<int64_t> offsets_;  // [layers, kNumWeightRoles] bytes into memory_, -1: none
  kernels::DeviceBuffer memory_;
  std::string digest_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_WEIGHTS_H_
