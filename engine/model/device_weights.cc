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
    const size_t layers = static_cast<size_t>(place.layer) + 1;
    if (weights_.offsets_.size() < layers * kNumWeightRoles) {
      weights_.offsets_.resize(layers * kNumWeightRoles, -1);
    }
    weights_.offsets_[Index(place)] = bytes_;
    bytes_ = kernels::RoundUp(bytes_ + rows * cols * kernels::ByteSize(TypeOf(place)), kAlignment);
    return absl::OkStatus();
  }

  absl::Status Allocate() override {
    CHORUS_ASSIGN_OR_RETURN(weights_.memory_, device_.Allocate(bytes_));
    return absl::OkStatus();
  }

  absl::Status Set(const WeightPlace& place, int64_t first,
                   std::span<const float> values) override {
    const int64_t size = kernels::ByteSize(TypeOf(place));
    std::byte* to = weights_.memory_.data() + weights_.offsets_[Index(place)] + first * size;
    kernels::MutexLock lock(&mutex_);
    while (!values.empty()) {
      const auto piece = values.first(std::min(values.size(), kPieceValues));
      const int64_t bytes = static_cast<int64_t>(piece.size()) * size;
      CHORUS_ASSIGN_OR_RETURN(std::byte* const room, stage_.Reserve(to, bytes));
      if (!Write(piece, TypeOf(place), room)) {
        return absl::InvalidArgumentError(absl::StrCat("expected values that fit ",
                                                       std::string(kernels::Name(weights_.dtype_)),
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
  static size_t Index(const WeightPlace& place) {
    return static_cast<size_t>(place.layer) * kNumWeightRoles + static_cast<size_t>(place.role);
  }
  DType TypeOf(const WeightPlace& place) const {
    return IsMatrix(place.role) ? weights_.dtype_ : DType::kF32;
  }
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
  if (dtype == DType::kF32) {
    return absl::InvalidArgumentError("weights: expected bf16 or f16 on a device, got f32");
  }
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

}  // namespace chorus::engine
