#include "engine/text/string_trie.h"

namespace chorus::engine {

bool StringTrie::Add(std::string_view key, int32_t value) {
  if (key.empty()) return false;
  starts_[static_cast<unsigned char>(key[0])] = true;
  size_t node = 0;
  for (const char byte : key) {
    const auto [edge, added] =
        edges_.emplace(Edge(node, byte), static_cast<uint32_t>(nodes_.size()));
    if (added) nodes_.emplace_back();
    node = edge->second;
  }
  if (nodes_[node].value >= 0) return false;
  nodes_[node].value = value;
  return true;
}

std::optional<StringTrie::Match> StringTrie::LongestAt(std::string_view text, size_t begin) const {
  if (empty() || !starts_[static_cast<unsigned char>(text[begin])]) return std::nullopt;
  std::optional<Match> longest;
  size_t node = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    const auto edge = edges_.find(Edge(node, text[at]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (nodes_[node].value >= 0) longest = Match{begin, at + 1, nodes_[node].value};
  }
  return longest;
}

std::optional<StringTrie::Match> StringTrie::Find(std::string_view text, size_t from) const {
  if (empty()) return std::nullopt;
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (const std::optional<Match> longest = LongestAt(text, begin)) return longest;
  }
  return std::nullopt;
}

}  // namespace chorus::engine
