#include "engine/model/device_weights.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/upload_stage.h"
#include "kernels/checked.h"
#include "kernels/mutex.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;

constexpr int64_t kAlignment = 256;
constexpr int64_t kStageBytes = int64_t{8} << 20;
// Values that are converted at once; a stage takes many.
constexpr size_t kPieceValues = size_t{1} << 20;

absl::Status CheckDType(DType dtype) {
  if (dtype != DType::kF32) return absl::OkStatus();
  return absl::InvalidArgumentError("weights: expected bf16 or f16 on a device, got f32");
}

// False when a value overflows.
template <class T>
bool Convert(std::span<const float> values, std::byte* to) {
  auto* const out = reinterpret_cast<T*>(to);
  bool fits = true;
  for (size_t i = 0; i < values.size(); ++i) {
    out[i] = T::FromFloat(values[i]);
    fits = fits && std::isfinite(out[i].ToFloat());
  }
  return fits;
}

}  // namespace

// Lays the parameters out one behind the other and uploads them.
class DeviceWeightsSink : public WeightsSink {
 public:
  DeviceWeightsSink(kernels::Device* device, UploadStage stage, DeviceWeights* weights)
      : device_(*device), stage_(std::move(stage)), weights_(*weights) {}

  absl::Status Add(const WeightPlace& place, int64_t rows, int64_t cols) override {
    bytes_ = weights_.Add({place, rows, cols}, bytes_);
    return absl::OkStatus();
  }

  absl::Status Allocate() override {
    CHORUS_ASSIGN_OR_RETURN(weights_.memory_, device_.Allocate(bytes_));
    return absl::OkStatus();
  }

  absl::Status Set(const WeightPlace& place, int64_t first,
                   std::span<const float> values) override {
    const DType dtype = weights_.TypeOf(place.role);
    const int64_t size = kernels::ByteSize(dtype);
    std::byte* to =
        weights_.memory_.data() + weights_.offsets_[DeviceWeights::Index(place)] + first * size;
    kernels::MutexLock lock(&mutex_);
    while (!values.empty()) {
      const auto piece = values.first(std::min(values.size(), kPieceValues));
      const int64_t bytes = static_cast<int64_t>(piece.size()) * size;
      CHORUS_ASSIGN_OR_RETURN(std::byte* const room, stage_.Reserve(to, bytes));
      if (!Write(piece, dtype, room)) {
        return absl::InvalidArgumentError(absl::StrCat("expected values that fit ",
                                                       std::string(kernels::Name(dtype)),
                                                       ", got one that does not"));
      }
      values = values.subspan(piece.size());
      to += bytes;
    }
    return absl::OkStatus();
  }

  absl::Status Finish() {
    kernels::MutexLock lock(&mutex_);
    return stage_.Finish();
  }

 private:
  static bool Write(std::span<const float> values, DType dtype, std::byte* to) {
    if (dtype == DType::kBf16) return Convert<kernels::Bf16>(values, to);
    if (dtype == DType::kF16) return Convert<kernels::F16>(values, to);
    std::copy(values.begin(), values.end(), reinterpret_cast<float*>(to));
    return true;
  }

  kernels::Device& device_;
  kernels::Mutex mutex_;
  UploadStage stage_ CHORUS_GUARDED_BY(mutex_);
  DeviceWeights& weights_;
  int64_t bytes_ = 0;
};

absl::StatusOr<DeviceWeights> DeviceWeights::Load(const std::string& model_dir,
                                                  const ModelConfig& config, DType dtype,
                                                  Shard shard, kernels::Device* device) {
  CHORUS_RETURN_IF_ERROR(CheckDType(dtype));
  DeviceWeights weights;
  weights.dtype_ = dtype;
  CHORUS_ASSIGN_OR_RETURN(UploadStage stage, UploadStage::Create(device, kStageBytes));
  DeviceWeightsSink sink(device, std::move(stage), &weights);
  absl::StatusOr<std::string> digest = LoadWeights(model_dir, config, shard, &sink);
  const absl::Status finished = sink.Finish();  // also after an error: the stage is in use
  CHORUS_RETURN_IF_ERROR(digest.status());
  CHORUS_RETURN_IF_ERROR(finished);
  weights.digest_ = *std::move(digest);
  return weights;
}

int64_t DeviceWeights::Add(const WeightShape& shape, int64_t bytes) {
  const size_t layers = static_cast<size_t>(shape.place.layer) + 1;
  if (offsets_.size() < layers * kNumWeightRoles) offsets_.resize(layers * kNumWeightRoles, -1);
  offsets_[Index(shape.place)] = bytes;
  const int64_t own = shape.rows * shape.cols * kernels::ByteSize(TypeOf(shape.place.role));
  return kernels::RoundUp(bytes + own, kAlignment);
}

absl::StatusOr<DeviceWeights> DeviceWeights::Make(std::span<const WeightShape> shapes, DType dtype,
                                                  kernels::Device* device, const Write& write) {
  CHORUS_RETURN_IF_ERROR(CheckDType(dtype));
  DeviceWeights weights;
  weights.dtype_ = dtype;
  int64_t bytes = 0;
  for (const WeightShape& shape : shapes) bytes = weights.Add(shape, bytes);
  CHORUS_ASSIGN_OR_RETURN(weights.memory_, device->Allocate(bytes));
  for (const WeightShape& shape : shapes) {
    CHORUS_RETURN_IF_ERROR(write(shape, weights.TypeOf(shape.place.role),
                                 weights.memory_.data() + weights.offsets_[Index(shape.place)]));
  }
  return weights;
}

}  // namespace chorus::engine
