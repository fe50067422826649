// What a step has to move and to compute at the least, and how long that takes at measured rates:
// the model of a step's time that every share is taken against. Activations are taken to stay in
// the cache. Pure arithmetic.
#ifndef CHORUS_BENCH_GPU_STEP_COST_H_
#define CHORUS_BENCH_GPU_STEP_COST_H_

#include <cstdint>

#include "bench/gpu/step_cases.h"
#include "engine/model/device_lora.h"

namespace chorus::bench {

struct StepCost {
  int64_t weight_bytes = 0;   // each parameter once, the embedding table by its rows
  int64_t kv_bytes = 0;       // read, and those of the step's rows written
  int64_t adapter_bytes = 0;  // tiles of the adapters in use, each once
  double linear_flops = 0.0;
  double attention_flops = 0.0;
  double adapter_flops = 0.0;

  int64_t bytes() const { return weight_bytes + kv_bytes + adapter_bytes; }
};

// What the base model adds to a step, by what there is of each in it.
struct ModelCost {
  int64_t weight_bytes = 0;      // a step
  int64_t row_bytes = 0;         // of the embedding table, a row
  int64_t token_bytes = 0;       // K and V of a token
  double row_flops = 0.0;        // linears but the lm_head, a row
  double sample_flops = 0.0;     // the lm_head, a row that is sampled
  double attention_flops = 0.0;  // a row for each token that it sees
};
ModelCost ModelCostOf(const engine::ModelConfig& config);

StepCost CostOf(const engine::ModelConfig& config, const StepCase& c);

// Multiplications and additions of one row at an adapter.
double AdapterFlops(const engine::ModelConfig& config, int32_t rank, bool attention_only);

// Tiles of one adapter, in bytes.
int64_t AdapterBytes(const engine::ModelConfig& config, int32_t rank, bool attention_only);
// Of the adapters in use, at one site of all layers.
int64_t SiteBytes(const engine::ModelConfig& config, const StepCase& c, engine::DeviceSite site);

struct StepRates {
  double bytes_per_us = 0.0;  // read
  double flops_per_us = 0.0;  // of 16-bit products
};

// Products take the longer of reading and computing, each of base and adapters for itself, and so
// does attention.
double FloorUs(const StepCost& cost, const StepRates& rates);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_COST_H_
