#include "engine/model/device_linears.h"

#include <algorithm>
#include <utility>

#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

using kernels::DeviceLinearArgs;
using kernels::DeviceLinearShape;

int64_t DeviceLinears::LogitsStride(const ModelConfig& config) {
  return kernels::RoundUp<int64_t>(config.vocabulary, 8);
}

absl::StatusOr<DeviceLinears> DeviceLinears::Create(
    kernels::LibraryOps* ops, const ModelConfig& config, const DeviceWeights* weights,
    std::vector<int32_t> row_buckets, std::vector<int32_t> logit_buckets, const void* x, float* y,
    float* logits, kernels::DeviceStream* stream) {
  DeviceLinears linears;
  linears.ops_ = ops;
  linears.weights_ = weights;
  linears.row_buckets_ = std::move(row_buckets);
  linears.logit_buckets_ = std::move(logit_buckets);
  const auto shape = [&](int64_t outputs, int64_t inputs, int64_t stride) {
    return DeviceLinearShape{.dtype = weights->dtype(),
                             .outputs = static_cast<int32_t>(outputs),
                             .inputs = static_cast<int32_t>(inputs),
                             .x_stride = inputs,
                             .y_stride = stride};
  };
  const int64_t heads = int64_t{config.heads} * config.head_dim;
  const int64_t qkv = heads + int64_t{2} * config.kv_heads * config.head_dim;
  const int64_t wide = int64_t{2} * config.intermediate;
  const struct {
    WeightRole role;
    DeviceLinearShape shape;
  } of_layers[] = {
      {WeightRole::kQkv, shape(qkv, config.hidden, qkv)},
      {WeightRole::kO, shape(config.hidden, heads, config.hidden)},
      {WeightRole::kGateUp, shape(wide, config.hidden, wide)},
      {WeightRole::kDown, shape(config.hidden, config.intermediate, config.hidden)},
  };
  for (const auto& linear : of_layers) {
    CHORUS_RETURN_IF_ERROR(
        linears.Plan(linear.role, linear.shape, config.layers, linears.row_buckets_, x, y, stream));
  }
  CHORUS_RETURN_IF_ERROR(linears.Plan(WeightRole::kLmHead,
                                      shape(config.vocabulary, config.hidden, LogitsStride(config)),
                                      1, linears.logit_buckets_, x, logits, stream));
  return linears;
}

absl::Status DeviceLinears::Plan(WeightRole role, const DeviceLinearShape& shape, int32_t layers,
                                 const std::vector<int32_t>& buckets, const void* x, float* y,
                                 kernels::DeviceStream* stream) {
  std::vector<DeviceLinearArgs> samples;
  for (int32_t layer = 0; layer < layers; ++layer) {
    samples.push_back({.x = x, .weight = weights_->Matrix(role, layer), .y = y});
  }
  for (const int32_t rows : buckets) {
    DeviceLinearShape of_bucket = shape;
    of_bucket.rows = rows;
    CHORUS_ASSIGN_OR_RETURN(const int32_t number, ops_->PlanLinear(of_bucket, samples, stream));
    numbers_[static_cast<size_t>(role)].push_back(number);
  }
  return absl::OkStatus();
}

absl::Status DeviceLinears::Run(WeightRole role, int32_t layer, int32_t rows, const void* x,
                                float* y, kernels::DeviceStream* stream) const {
  const std::vector<int32_t>& buckets = role == WeightRole::kLmHead ? logit_buckets_ : row_buckets_;
  const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), rows);
  CHORUS_CHECK(bucket != buckets.end() && *bucket == rows);
  const auto& numbers = numbers_[static_cast<size_t>(role)];
  return ops_->Linear(numbers[static_cast<size_t>(bucket - buckets.begin())],
                      {.x = x, .weight = weights_->Matrix(role, layer), .y = y}, stream);
}

}  // namespace chorus::engine
