#include "engine/model/weights.h"

#include <algorithm>

#include "engine/model/weights_loader.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

using kernels::DType;
using kernels::PackedMatrix;

// Packs what is loaded.
class PackedSink : public WeightsSink {
 public:
  explicit PackedSink(Weights* weights) : weights_(*weights) {}

  absl::Status Add(const WeightPlace& place, int64_t rows, int64_t cols) override {
    const auto layers = static_cast<size_t>(place.layer) + 1;
    if (layers > weights_.layers_.size()) weights_.layers_.resize(layers);
    if (!IsMatrix(place.role)) {
      Vector(place).resize(static_cast<size_t>(cols));
      return absl::OkStatus();
    }
    if (place.role == WeightRole::kEmbedding) weights_.embedding_.emplace();
    CHORUS_ASSIGN_OR_RETURN(Matrix(place), PackedMatrix::Allocate(weights_.dtype_, rows, cols));
    return absl::OkStatus();
  }
  absl::Status Allocate() override { return absl::OkStatus(); }
  absl::Status Set(const WeightPlace& place, int64_t first,
                   std::span<const float> values) override {
    if (IsMatrix(place.role)) {
      PackedMatrix& matrix = Matrix(place);
      matrix.SetRow(first / matrix.inputs(), values.data());
    } else {
      std::copy(values.begin(), values.end(), Vector(place).begin() + first);
    }
    return absl::OkStatus();
  }

 private:
  LayerWeights& Layer(const WeightPlace& place) {
    return weights_.layers_[static_cast<size_t>(place.layer)];
  }

  PackedMatrix& Matrix(const WeightPlace& place) {
    switch (place.role) {
      case WeightRole::kQkv:
        return Layer(place).qkv;
      case WeightRole::kO:
        return Layer(place).o;
      case WeightRole::kGateUp:
        return Layer(place).gate_up;
      case WeightRole::kDown:
        return Layer(place).down;
      case WeightRole::kEmbedding:
        return *weights_.embedding_;
      default:
        return weights_.lm_head_;
    }
  }

  std::vector<float>& Vector(const WeightPlace& place) {
    switch (place.role) {
      case WeightRole::kInputNorm:
        return Layer(place).input_norm;
      case WeightRole::kQkvBias:
        return Layer(place).qkv_bias;
      case WeightRole::kQNorm:
        return Layer(place).q_norm;
      case WeightRole::kKNorm:
        return Layer(place).k_norm;
      case WeightRole::kOBias:
        return Layer(place).o_bias;
      case WeightRole::kPostAttentionNorm:
        return Layer(place).post_attention_norm;
      case WeightRole::kGateUpBias:
        return Layer(place).gate_up_bias;
      case WeightRole::kDownBias:
        return Layer(place).down_bias;
      default:
        return weights_.final_norm_;
    }
  }

  Weights& weights_;
};

absl::StatusOr<Weights> Weights::Load(const std::string& model_dir, const ModelConfig& config,
                                      DType dtype, Shard shard) {
  Weights weights;
  weights.dtype_ = dtype;
  PackedSink sink(&weights);
  CHORUS_ASSIGN_OR_RETURN(weights.digest_, LoadWeights(model_dir, config, shard, &sink));
  return weights;
}

int64_t Weights::bytes() const {
  int64_t bytes = lm_head_.bytes();
  if (embedding_.has_value()) bytes += embedding_->bytes();
  size_t elements = final_norm_.size();
  for (const LayerWeights& layer : layers_) {
    for (const PackedMatrix* matrix : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) {
      bytes += matrix->bytes();
    }
    for (const std::vector<float>* vector :
         {&layer.input_norm, &layer.qkv_bias, &layer.q_norm, &layer.k_norm, &layer.o_bias,
          &layer.post_attention_norm, &layer.gate_up_bias, &layer.down_bias}) {
      elements += vector->size();
    }
  }
  return bytes + static_cast<int64_t>(elements * sizeof(float));
}

}  // namespace chorus::engine
