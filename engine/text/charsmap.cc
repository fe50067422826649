#include "engine/text/charsmap.h"

#include <cstring>

#include "engine/text/utf8.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr std::string_view kName = "normalizer_spec: precompiled_charsmap";

absl::Status Invalid(const char* what) {
  return absl::InvalidArgumentError(std::string(kName) + ": " + what);
}

size_t OffsetOf(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t LabelOf(uint32_t unit) { return unit & (1u << 31 | 0xFF); }  // of a leaf: no byte
size_t ValueOf(uint32_t unit) { return unit & ~(1u << 31); }

}  // namespace

absl::StatusOr<Charsmap> Charsmap::Parse(std::string_view bytes) {
  Charsmap map;
  if (bytes.empty()) return map;
  uint32_t size = 0;
  if (bytes.size() <= sizeof size) return Invalid("too short");
  std::memcpy(&size, bytes.data(), sizeof size);
  bytes.remove_prefix(sizeof size);
  if (size == 0 || size % 4 != 0 || size >= bytes.size()) return Invalid("its trie does not fit");
  map.units_.resize(size / 4);
  std::memcpy(map.units_.data(), bytes.data(), size);
  map.texts_ = bytes.substr(size);
  CHORUS_RETURN_IF_ERROR(CheckUtf8(map.texts_, kName));
  if (map.texts_.back() != '\0') return Invalid("its last text does not end");
  return map;
}

std::optional<Charsmap::Rule> Charsmap::Find(std::string_view text) const {
  if (units_.empty()) return std::nullopt;
  std::optional<Rule> longest;
  size_t node = OffsetOf(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || LabelOf(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= OffsetOf(unit);
    if (!HasLeaf(unit)) continue;
    const size_t at = node < units_.size() ? ValueOf(units_[node]) : texts_.size();
    if (at >= texts_.size() || (static_cast<unsigned char>(texts_[at]) & 0xC0) == 0x80) break;
    longest = Rule{i + 1, std::string_view(texts_.data() + at)};
  }
  return longest;
}

}  // namespace chorus::engine
