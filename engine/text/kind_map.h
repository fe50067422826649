// Cuts the code points into kinds, such that every given set is a union of kinds, and names the
// kind of a code point in two loads. Immutable; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_KIND_MAP_H_
#define CHORUS_ENGINE_TEXT_KIND_MAP_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/code_set.h"

namespace chorus::engine {

class KindMap {
 public:
  static constexpr int kMaxKinds = 256;

  // InvalidArgument when the sets tell more than kMaxKinds kinds apart.
  static absl::StatusOr<KindMap> Build(const std::vector<CodeSet>& sets);

  uint8_t KindOf(char32_t code_point) const {
    return pages_[page_of_[code_point >> 8]][code_point & 255];
  }
  // The kinds that make up sets[set], ascending.
  const std::vector<uint8_t>& KindsOf(int set) const { return kinds_of_[static_cast<size_t>(set)]; }

 private:
  using Page = std::array<uint8_t, 256>;

  std::vector<Page> pages_;        // equal pages once
  std::vector<uint16_t> page_of_;  // [0x1100], into pages_
  std::vector<std::vector<uint8_t>> kinds_of_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_KIND_MAP_H_
