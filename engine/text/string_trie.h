// A set of byte strings, searched leftmost-longest. Immutable once filled; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_STRING_TRIE_H_
#define CHORUS_ENGINE_TEXT_STRING_TRIE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace chorus::engine {

class StringTrie {
 public:
  struct Match {
    size_t begin, end;  // bytes
    int32_t value;
  };

  bool empty() const { return nodes_.size() == 1; }
  // False when `key` is empty or already there.
  bool Add(std::string_view key, int32_t value);
  // The longest key that begins at `begin`.
  std::optional<Match> LongestAt(std::string_view text, size_t begin) const;
  // The longest key at the leftmost place from `from` on where any key matches.
  std::optional<Match> Find(std::string_view text, size_t from) const;

 private:
  struct Node {
    int32_t value = -1;
  };
  static uint64_t Edge(size_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
  }

  std::vector<Node> nodes_{1};
  absl::flat_hash_map<uint64_t, uint32_t> edges_;  // (node, byte) -> node
  std::array<bool, 256> starts_{};                 // first bytes of keys
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_STRING_TRIE_H_
