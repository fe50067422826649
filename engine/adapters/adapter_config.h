// adapter_config.json of a PEFT LoRA adapter: the fields that decide what it computes. All others
// are known to change nothing, or refuse the adapter by name.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_CONFIG_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/path_pattern.h"

namespace chorus::engine {

inline constexpr char kAdapterConfigFile[] = "adapter_config.json";
inline constexpr char kInvocationField[] = "alora_invocation_tokens";
inline constexpr int64_t kMaxInvocationTokens = 256;

// "rank_pattern" or "alpha_pattern" in file order: the first key that matches a path decides.
template <class Value>
struct PatternTable {
  std::vector<std::string> keys;
  std::vector<Value> values;
};

struct AdapterConfig {
  // What PEFT takes for fields that are absent.
  int32_t r = 8;
  double lora_alpha = 8.0;
  bool use_rslora = false;
  bool lora_bias = false;
  PatternTable<int32_t> rank_pattern;
  PatternTable<double> alpha_pattern;
  ModuleSelection targets;
  std::optional<ModuleSelection> excluded;
  std::vector<int64_t> layers_to_transform;  // empty: all
  std::vector<std::string> layers_pattern;   // empty: any
  std::vector<int32_t> invocation;           // of an activated LoRA; empty: it is always active
  std::string base_model_name_or_path;
};

// InvalidArgument, naming the field, for what is broken, contradictory or not supported.
absl::StatusOr<AdapterConfig> ParseAdapterConfig(std::string_view text);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_CONFIG_H_
