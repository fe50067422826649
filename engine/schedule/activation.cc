#include "engine/schedule/activation.h"

#include <algorithm>
#include <vector>

namespace chorus::engine {

std::optional<int64_t> ActiveFrom(const AdapterVersion& adapter, std::span<const int32_t> prompt) {
  const std::vector<int32_t>& invocation = adapter.invocation();
  if (invocation.empty()) return 0;
  const auto found =
      std::find_end(prompt.begin(), prompt.end(), invocation.begin(), invocation.end());
  if (found == prompt.end()) return std::nullopt;
  return found - prompt.begin();
}

}  // namespace chorus::engine
