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

absl::StatusOr<DeviceLinears> DeviceLinears::Create(const DeviceLinearsArgs& args,
                                                    kernels::DeviceStream* stream) {
  DeviceLinears linears;
  linears.args_ = args;
  const ModelConfig& config = *args.config;
  const auto shape = [&](int64_t outputs, int64_t inputs, int64_t stride) {
    return DeviceLinearShape{.dtype = args.weights->dtype(),
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
    const auto role = static_cast<size_t>(linear.role);
    CHORUS_ASSIGN_OR_RETURN(linears.alone_[role],
                            linears.Plan(linear.role, linear.shape, config.layers, args.y, stream));
    DeviceLinearShape beside = linear.shape;
    beside.multiprocessors = args.multiprocessors_beside_lora;
    // A shape that is planned already is not measured again.
    CHORUS_ASSIGN_OR_RETURN(linears.beside_lora_[role],
                            linears.Plan(linear.role, beside, config.layers, args.y, stream));
  }
  const DeviceLinearShape head = shape(config.vocabulary, config.hidden, LogitsStride(config));
  CHORUS_ASSIGN_OR_RETURN(linears.alone_[static_cast<size_t>(WeightRole::kLmHead)],
                          linears.Plan(WeightRole::kLmHead, head, 1, args.logits, stream));
  return linears;
}

absl::StatusOr<DeviceLinears::Numbers> DeviceLinears::Plan(WeightRole role,
                                                           const DeviceLinearShape& shape,
                                                           int32_t layers, float* y,
                                                           kernels::DeviceStream* stream) const {
  std::vector<DeviceLinearArgs> samples;
  for (int32_t layer = 0; layer < layers; ++layer) {
    samples.push_back({.x = args_.x, .weight = args_.weights->Matrix(role, layer), .y = y});
  }
  Numbers numbers;
  for (const int32_t rows : BucketsOf(role)) {
    DeviceLinearShape of_bucket = shape;
    of_bucket.rows = rows;
    CHORUS_ASSIGN_OR_RETURN(const int32_t number,
                            args_.ops->PlanLinear(of_bucket, samples, stream));
    numbers.push_back(number);
  }
  return numbers;
}

absl::Status DeviceLinears::Run(WeightRole role, int32_t layer, int32_t rows, bool beside_lora,
                                const void* x, float* y, kernels::DeviceStream* stream) const {
  const std::vector<int32_t>& buckets = BucketsOf(role);
  const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), rows);
  CHORUS_CHECK(bucket != buckets.end() && *bucket == rows);
  const Numbers& numbers = (beside_lora ? beside_lora_ : alone_)[static_cast<size_t>(role)];
  return args_.ops->Linear(numbers[static_cast<size_t>(bucket - buckets.begin())],
                           {.x = x, .weight = args_.weights->Matrix(role, layer), .y = y}, stream);
}

}  // namespace chorus::engine
