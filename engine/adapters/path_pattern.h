// How PEFT picks modules by name: lists of suffixes, and regular expressions, which here run in
// linear time and whose work is bounded, whatever an adapter_config.json says. A path is a module's
// name inside the base model: "model.layers.3.self_attn.q_proj".
//
// Python's re and RE2 differ: look-around, back-references, flags and the escapes and repetitions
// that only one of them knows are refused by name. What remains means the same to both.
#ifndef CHORUS_ENGINE_ADAPTERS_PATH_PATTERN_H_
#define CHORUS_ENGINE_ADAPTERS_PATH_PATTERN_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace chorus::engine {

inline constexpr size_t kMaxPatterns = 4096;
inline constexpr size_t kMaxPatternBytes = 512;

// "target_modules" or "exclude_modules".
struct ModuleSelection {
  bool all_linear = false;
  std::optional<std::string> regex;  // against the whole path
  std::vector<std::string> names;    // a path is one of them, or ends with "." and one of them
};

// Whether `path` is one of `names` or ends with one of them, after a dot.
bool NamesPath(std::span<const std::string> names, std::string_view path);

// For each path whether it is selected; "all-linear" selects all. `place` names the field in a
// refusal. InvalidArgument for an expression that is broken, not supported or too much work.
absl::StatusOr<std::vector<bool>> SelectPaths(const ModuleSelection& selection,
                                              const std::string& place,
                                              std::span<const std::string> paths);

// For each path the index of the first of `keys` with re.match("(.*\.)?(KEY)$", path), -1 for none.
// PEFT's rule for rank_pattern and alpha_pattern.
absl::StatusOr<std::vector<int>> FirstMatchingKeys(std::span<const std::string> keys,
                                                   const std::string& place,
                                                   std::span<const std::string> paths);

// For each path the number that PEFT takes for the layer's, under "layers_pattern": that of the
// first pattern with re.match("(?:^|.*?\.)PATTERN\.(\d+)\.", path), -1 for none.
absl::StatusOr<std::vector<int64_t>> LayerIndices(std::span<const std::string> patterns,
                                                  const std::string& place,
                                                  std::span<const std::string> paths);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_PATH_PATTERN_H_
