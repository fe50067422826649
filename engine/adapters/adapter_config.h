// adapter_config.json of a PEFT LoRA adapter: the fields that decide what it computes. All others
// are known to change nothing, or refuse the adapter by name.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_CONFIG_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_CONFIG_H_

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace re2 {
class RE2;
}

namespace chorus::engine {

// A regular expression over module paths, in linear time, matched against the whole path.
using PathPattern = std::shared_ptr<const re2::RE2>;  // shared: the config is copied freely

bool Matches(const PathPattern& pattern, const std::string& path);

// "target_modules" or "exclude_modules": a list of names, or a regular expression.
struct ModuleSelection {
  bool all_linear = false;
  PathPattern regex;
  std::vector<std::string> names;  // a path is one of them or ends with "." and one of them

  bool Selects(const std::string& path) const;
};

struct AdapterConfig {
  int32_t r = 8;
  double lora_alpha = 8.0;
  bool use_rslora = false;
  bool lora_bias = false;
  // In file order; the first that matches decides. PEFT's own form: (.*\.)?(KEY)
  std::vector<std::pair<PathPattern, int32_t>> rank_pattern;
  std::vector<std::pair<PathPattern, double>> alpha_pattern;
  ModuleSelection targets;
  std::optional<ModuleSelection> excluded;
  std::optional<std::set<int64_t>> layers_to_transform;
  std::string base_model_name_or_path;

  int32_t RankOf(const std::string& path) const;
  double AlphaOf(const std::string& path) const;
  // Whether the config says that this module of this layer is adapted.
  bool Targets(const std::string& path, int64_t layer) const;
};

// InvalidArgument, naming the field, for what is broken or not supported.
absl::StatusOr<AdapterConfig> ParseAdapterConfig(std::string_view text);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_CONFIG_H_
