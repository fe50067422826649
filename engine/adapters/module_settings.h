// What an adapter's config says about each linear of the model, by PEFT's own rules.
#ifndef CHORUS_ENGINE_ADAPTERS_MODULE_SETTINGS_H_
#define CHORUS_ENGINE_ADAPTERS_MODULE_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_config.h"
#include "kernels/lora/slots.h"

namespace chorus::engine {

// The path by which PEFT's rules know a linear: "model.layers.3.self_attn.q_proj".
std::string ModulePath(int32_t layer, kernels::LoraModule module);

struct ModuleSettings {
  bool targeted = false;
  int32_t rank = 0;    // after rank_pattern
  double alpha = 0.0;  // after alpha_pattern
};

// [num_layers * kNumLoraModules]. InvalidArgument for patterns that cannot be matched, and for a
// config that also targets the embeddings or the output head.
absl::StatusOr<std::vector<ModuleSettings>> ResolveModules(const AdapterConfig& config,
                                                           int32_t num_layers);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_MODULE_SETTINGS_H_
