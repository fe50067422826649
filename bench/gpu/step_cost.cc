#include "bench/gpu/step_cost.h"

#include <algorithm>

#include "kernels/lora/tiles.h"

namespace chorus::bench {
namespace {

using engine::ModelConfig;
using engine::WeightRole;
using engine::WeightShape;
using kernels::DType;

constexpr int64_t kElementBytes = 2;  // of matrices, K, V and adapters

int NumModules(bool attention_only) {
  return attention_only ? kernels::kO + 1 : kernels::kNumLoraModules;
}

// Tiles of an adapter's modules [begin, end) in all layers.
int64_t ModulesBytes(const ModelConfig& config, int32_t rank, int begin, int end) {
  int64_t tiles = 0;
  for (int m = begin; m < end; ++m) {
    const ModelConfig::LinearShape shape = config.linear(static_cast<kernels::LoraModule>(m));
    tiles += kernels::MatrixTiles(shape.inputs, rank) + kernels::MatrixTiles(shape.outputs, rank);
  }
  return config.layers * tiles * kernels::TileBytes(DType::kBf16);
}

}  // namespace

double AdapterFlops(const ModelConfig& config, int32_t rank, bool attention_only) {
  double flops = 0.0;
  for (int m = 0; m < NumModules(attention_only); ++m) {
    const ModelConfig::LinearShape shape = config.linear(static_cast<kernels::LoraModule>(m));
    flops += 2.0 * rank * static_cast<double>(shape.inputs + shape.outputs);
  }
  return config.layers * flops;
}

int64_t AdapterBytes(const ModelConfig& config, int32_t rank, bool attention_only) {
  return ModulesBytes(config, rank, kernels::kQ, NumModules(attention_only));
}

int64_t SiteBytes(const ModelConfig& config, const StepCase& c, engine::DeviceSite site) {
  // The first module of each site, and where the last one ends.
  constexpr int kBegin[] = {kernels::kQ, kernels::kO, kernels::kGate, kernels::kDown,
                            kernels::kNumLoraModules};
  const auto at = static_cast<size_t>(site);
  if (kBegin[at] >= NumModules(c.attention_only)) return 0;
  int64_t bytes = 0;
  for (const int32_t adapter : c.used_adapters()) {
    bytes +=
        ModulesBytes(config, c.ranks[static_cast<size_t>(adapter)], kBegin[at], kBegin[at + 1]);
  }
  return bytes;
}

ModelCost ModelCostOf(const ModelConfig& config) {
  ModelCost cost;
  for (const WeightShape& shape : WeightShapesOf(config)) {
    const int64_t elements = shape.rows * shape.cols;
    if (!IsMatrix(shape.place.role)) {
      cost.weight_bytes += elements * static_cast<int64_t>(sizeof(float));
    } else if (shape.place.role == WeightRole::kEmbedding) {
      cost.row_bytes += shape.cols * kElementBytes;
    } else {
      const bool sampled = shape.place.role == WeightRole::kLmHead;
      cost.weight_bytes += elements * kElementBytes;
      (sampled ? cost.sample_flops : cost.row_flops) += 2.0 * static_cast<double>(elements);
    }
  }
  cost.token_bytes = int64_t{2} * config.kv_heads * config.head_dim * config.layers * kElementBytes;
  cost.attention_flops = 4.0 * config.heads * config.head_dim * config.layers;
  return cost;
}

StepCost CostOf(const ModelConfig& config, const StepCase& c) {
  const ModelCost model = ModelCostOf(config);
  const int64_t rows = c.rows();
  StepCost cost;
  cost.weight_bytes = model.weight_bytes + rows * model.row_bytes;
  cost.linear_flops = static_cast<double>(rows) * model.row_flops +
                      static_cast<double>(c.sequences.size()) * model.sample_flops;
  for (const StepSequence& sequence : c.sequences) {
    cost.kv_bytes += (sequence.context + sequence.rows) * model.token_bytes;
    // Row r of the newest sees the tokens up to itself.
    const double seen =
        sequence.rows * (sequence.context - 0.5 * static_cast<double>(sequence.rows - 1));
    cost.attention_flops += seen * model.attention_flops;
    if (sequence.adapter >= 0) {
      const int32_t rank = c.ranks[static_cast<size_t>(sequence.adapter)];
      cost.adapter_flops += sequence.rows * AdapterFlops(config, rank, c.attention_only);
    }
  }
  for (const int32_t adapter : c.used_adapters()) {
    cost.adapter_bytes +=
        AdapterBytes(config, c.ranks[static_cast<size_t>(adapter)], c.attention_only);
  }
  return cost;
}

double FloorUs(const StepCost& cost, const StepRates& rates) {
  const auto longer = [&](int64_t bytes, double flops) {
    return std::max(static_cast<double>(bytes) / rates.bytes_per_us, flops / rates.flops_per_us);
  };
  return longer(cost.weight_bytes, cost.linear_flops) +
         longer(cost.kv_bytes, cost.attention_flops) +
         longer(cost.adapter_bytes, cost.adapter_flops);
}

}  // namespace chorus::bench
