// Bridges between the standard string_view and Debian's Abseil, which is built for C++14 and has a
// string_view of its own.
#ifndef CHORUS_ENGINE_TEXT_STR_CAT_H_
#define CHORUS_ENGINE_TEXT_STR_CAT_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace chorus::engine {

template <class T>
const T& ForAbsl(const T& value) {
  return value;
}
inline absl::string_view ForAbsl(std::string_view value) { return {value.data(), value.size()}; }

// absl::StrCat and StrAppend, which also take std::string_view.
template <class... Parts>
std::string StrCat(const Parts&... parts) {
  return absl::StrCat(ForAbsl(parts)...);
}
template <class... Parts>
void StrAppend(std::string* out, const Parts&... parts) {
  absl::StrAppend(out, ForAbsl(parts)...);
}

// Hash containers of strings that are searched by string_view without a copy.
struct StringViewHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <class Value>
using StringMap = absl::flat_hash_map<std::string, Value, StringViewHash, std::equal_to<>>;
using StringSet = absl::flat_hash_set<std::string, StringViewHash, std::equal_to<>>;

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_STR_CAT_H_
