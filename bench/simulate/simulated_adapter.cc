#include "bench/simulate/simulated_adapter.h"

namespace chorus::bench {

engine::ImageLayout LayoutOfRank(const Machine& machine, int32_t rank, bool attention_only) {
  engine::AdapterSpec spec;
  for (int32_t layer = 0; layer < machine.model.layers; ++layer) {
    for (int m = 0; m <= (attention_only ? kernels::kO : kernels::kDown); ++m) {
      spec.modules.push_back({.layer = layer,
                              .module = static_cast<kernels::LoraModule>(m),
                              .rank = rank,
                              .scale = 1.0f});
    }
  }
  engine::ImageLayout layout =
      engine::ImageLayout::Make(spec, {machine.model, {}, machine.pool_view()});
  layout.modules.resize(kernels::kNumLoraModules);
  return layout;
}

std::vector<engine::AdapterRef> MakeAdapters(const Machine& machine, int64_t count,
                                             const std::vector<int32_t>& ranks,
                                             bool attention_only) {
  std::vector<engine::ImageLayout> layouts;
  for (int32_t rank : ranks) layouts.push_back(LayoutOfRank(machine, rank, attention_only));
  std::vector<engine::AdapterRef> adapters;
  for (int64_t i = 0; i < count; ++i) {
    adapters.push_back(std::make_shared<LayoutAdapter>(
        "shared", i, layouts[static_cast<size_t>(i) % layouts.size()]));
  }
  return adapters;
}

}  // namespace chorus::bench
