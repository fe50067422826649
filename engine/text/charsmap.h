// The replacement rules that a SentencePiece model carries: a double-array trie from strings to
// strings (Aoe, 1989; the layout of darts-clone). Read in place with every step checked, so that
// no file can make it read elsewhere. Immutable; any thread may call.
//
//   map  := size:u32 unit:u32{size / 4} text       text := strings, each ended by a NUL
//   unit := value:31 of a leaf | offset:22 wide:1 has_leaf:1 label:8
#ifndef CHORUS_ENGINE_TEXT_CHARSMAP_H_
#define CHORUS_ENGINE_TEXT_CHARSMAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace chorus::engine {

class Charsmap {
 public:
  struct Rule {
    size_t length;                 // bytes that it replaces
    std::string_view replacement;  // UTF-8
  };

  // `bytes` empty: no rules. InvalidArgument when they are not a map.
  static absl::StatusOr<Charsmap> Parse(std::string_view bytes);

  // The longest rule at the front of `text`.
  std::optional<Rule> Find(std::string_view text) const;

 private:
  std::vector<uint32_t> units_;
  std::string texts_;  // valid UTF-8 that ends with a NUL
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_CHARSMAP_H_
