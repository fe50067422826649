#include "engine/backend/device_limits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/checked.h"
#include "kernels/lora/lora_plan_kernel.h"
#include "kernels/lora/slots.h"
#include "kernels/lora/tiles.h"

namespace chorus::engine {
namespace {

// Page ids of a step: those of 16 million tokens, 4 MiB in each block of metadata.
constexpr int64_t kMaxStepPages = int64_t{1} << 20;
// Ids that penalties touch in a step: 2 MiB in each block; more only where one draw may need more.
constexpr int64_t kMaxStepPenalties = int64_t{1} << 18;
constexpr int32_t kMaxStepBiases = 1 << 16;
constexpr int32_t kMinSlots = 1024;
// Each sequence that crosses takes whole tiles of ranks.
constexpr int32_t kMaxCrossings = DeviceRunnerOptions{}.max_crossing_ranks / kernels::kTileRanks;

}  // namespace

int64_t MaxAdapterPages(const ModelConfig& config, int32_t rank) {
  int64_t tiles = 0;
  for (int m = 0; m < kernels::kNumLoraModules; ++m) {
    const ModelConfig::LinearShape shape = config.linear(static_cast<kernels::LoraModule>(m));
    tiles += kernels::MatrixTiles(shape.inputs, rank) + kernels::MatrixTiles(shape.outputs, rank) +
             kernels::VectorTiles(shape.outputs);
  }
  const kernels::PoolView page{.kv_heads = config.kv_heads, .head_dim = config.head_dim};
  return kernels::CeilDiv(tiles * config.layers, kernels::TilesPerCell(page) * config.layers);
}

absl::StatusOr<DeviceRunnerOptions> DeviceRunnerOptionsFor(const EngineOptions& engine,
                                                           const ModelConfig& config,
                                                           int32_t vocabulary) {
  DeviceRunnerOptions options;
  options.max_rows = engine.max_step_tokens;
  // A step of decodes has a row of each sequence.
  options.max_graph_rows = std::min(options.max_graph_rows, engine.max_running);
  const int32_t adapters = std::min(engine.max_step_adapters, engine.max_running);
  constexpr int32_t kMostAdapters = (kernels::kMaxPlanSegments - kMaxCrossings) / 2;
  if (adapters > kMostAdapters) {
    return absl::InvalidArgumentError(absl::StrCat("max_step_adapters: expected at most ",
                                                   kMostAdapters, " on a device, got ", adapters));
  }
  // An adapter's rows are two segments where it decodes and prefills in one step, and one more for
  // each of its sequences that comes from the base.
  options.max_segments = 2 * adapters + kMaxCrossings;
  options.max_rank_sum = engine.max_step_rank_sum;
  options.max_page_copies = engine.max_running;
  const int64_t longest = kernels::CeilDiv(config.max_positions, kernels::kPageTokens);
  const int64_t all_longest = engine.max_running * longest;
  options.max_page_ids =
      static_cast<int32_t>(std::min(all_longest, std::max(longest, kMaxStepPages)));
  options.max_penalties = static_cast<int32_t>(
      std::max<int64_t>(kMaxStepPenalties, std::min<int64_t>(vocabulary, config.max_positions)));
  options.max_biases = kMaxStepBiases;
  options.max_slots = std::max(kMinSlots, 2 * (engine.max_running + engine.max_loads));
  options.max_adapter_pages = static_cast<int32_t>(MaxAdapterPages(config, options.max_lora_rank));
  options.valid_vocabulary = vocabulary;
  return options;
}

RunnerLimits LimitsOf(const DeviceRunnerOptions& options) {
  return {.max_step_pages = options.max_page_ids,
          .max_step_penalties = options.max_penalties,
          .max_step_biases = options.max_biases,
          .max_adapters = options.max_slots,
          .max_adapter_pages = options.max_adapter_pages,
          .max_step_crossing_ranks = options.max_crossing_ranks,
          .max_adapter_rank = options.max_lora_rank};
}

}  // namespace chorus::engine
