// Joins texts and numbers. (Debian's Abseil is built with a string_view of its own, so that its
// StrCat takes no std::string_view.)
#ifndef CHORUS_ENGINE_TEXT_JINJA_CONCAT_H_
#define CHORUS_ENGINE_TEXT_JINJA_CONCAT_H_

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace chorus::jinja {

inline void AppendPiece(std::string* out, std::string_view text) { out->append(text); }

template <std::integral T>
requires(!std::same_as<T, char> && !std::same_as<T, bool>) void AppendPiece(std::string* out,
                                                                            T number) {
  char buffer[24];
  out->append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
}

template <class... Pieces>
void Append(std::string* out, const Pieces&... pieces) {
  (AppendPiece(out, pieces), ...);
}

template <class... Pieces>
std::string Cat(const Pieces&... pieces) {
  std::string out;
  Append(&out, pieces...);
  return out;
}

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_CONCAT_H_
