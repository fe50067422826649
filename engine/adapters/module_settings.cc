#include "engine/adapters/module_settings.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "absl/strings/str_cat.h"
#include "engine/adapters/path_pattern.h"
#include "engine/model/model_config.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

std::string Place(const char* field) { return absl::StrCat(kAdapterConfigFile, ": ", field); }

// Which of `paths` PEFT would give a LoRA.
absl::StatusOr<std::vector<bool>> Targeted(const AdapterConfig& config,
                                           std::span<const std::string> paths,
                                           std::span<const int64_t> layers) {
  CHORUS_ASSIGN_OR_RETURN(std::vector<bool> targeted,
                          SelectPaths(config.targets, Place("target_modules"), paths));
  if (!config.layers_to_transform.empty()) {
    std::vector<int64_t> indices(layers.begin(), layers.end());
    if (!config.layers_pattern.empty()) {
      CHORUS_ASSIGN_OR_RETURN(indices,
                              LayerIndices(config.layers_pattern, Place("layers_pattern"), paths));
    }
    const auto& wanted = config.layers_to_transform;
    const auto& names = config.targets.names;
    for (size_t i = 0; i < paths.size(); ++i) {
      // A path that is named in full is targeted whatever its layer.
      if (std::find(names.begin(), names.end(), paths[i]) != names.end()) continue;
      if (std::find(wanted.begin(), wanted.end(), indices[i]) == wanted.end()) targeted[i] = false;
    }
  }
  if (!config.excluded.has_value()) return targeted;
  CHORUS_ASSIGN_OR_RETURN(const std::vector<bool> excluded,
                          SelectPaths(*config.excluded, Place("exclude_modules"), paths));
  for (size_t i = 0; i < paths.size(); ++i) targeted[i] = targeted[i] && !excluded[i];
  return targeted;
}

// LoRA on the embeddings or the output head. "all-linear" leaves both out.
absl::Status CheckEnds(const AdapterConfig& config) {
  if (config.targets.all_linear) return absl::OkStatus();
  const std::string ends[] = {"model.embed_tokens", "lm_head"};
  const int64_t layers[] = {-1, -1};
  CHORUS_ASSIGN_OR_RETURN(const std::vector<bool> targeted, Targeted(config, ends, layers));
  for (size_t i = 0; i < std::size(ends); ++i) {
    if (!targeted[i]) continue;
    return Refuse(Reason::kAdapterUnsupportedKind, Place("target_modules"),
                  "linears of the decoder layers",
                  absl::StrCat(ends[i], " (LoRA on it is not supported)"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string ModulePath(int32_t layer, kernels::LoraModule module) {
  return absl::StrCat("model.layers.", layer, ".", kLinearNames[module]);
}

absl::StatusOr<std::vector<ModuleSettings>> ResolveModules(const AdapterConfig& config,
                                                           int32_t num_layers) {
  CHORUS_RETURN_IF_ERROR(CheckEnds(config));
  std::vector<std::string> paths;
  std::vector<int64_t> layers;
  for (int32_t layer = 0; layer < num_layers; ++layer) {
    for (int module = 0; module < kernels::kNumLoraModules; ++module) {
      paths.push_back(ModulePath(layer, static_cast<kernels::LoraModule>(module)));
      layers.push_back(layer);
    }
  }
  CHORUS_ASSIGN_OR_RETURN(const std::vector<bool> targeted, Targeted(config, paths, layers));
  CHORUS_ASSIGN_OR_RETURN(
      const std::vector<int> ranks,
      FirstMatchingKeys(config.rank_pattern.keys, Place("rank_pattern"), paths));
  CHORUS_ASSIGN_OR_RETURN(
      const std::vector<int> alphas,
      FirstMatchingKeys(config.alpha_pattern.keys, Place("alpha_pattern"), paths));
  std::vector<ModuleSettings> settings(paths.size());
  for (size_t i = 0; i < paths.size(); ++i) {
    settings[i].targeted = targeted[i];
    settings[i].rank =
        ranks[i] < 0 ? config.r : config.rank_pattern.values[static_cast<size_t>(ranks[i])];
    settings[i].alpha = alphas[i] < 0 ? config.lora_alpha
                                      : config.alpha_pattern.values[static_cast<size_t>(alphas[i])];
  }
  return settings;
}

}  // namespace chorus::engine
