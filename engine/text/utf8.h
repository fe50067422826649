// UTF-8 as the engine sees it: checked once on entry, then walked without further checks.
// Everything here is a pure function; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_UTF8_H_
#define CHORUS_ENGINE_TEXT_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace chorus::engine {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// The offset of the first byte that does not belong to a well-formed character (Unicode 15.0,
// table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF), npos when there is none.
size_t FindInvalidUtf8(std::string_view text);

// InvalidArgument with `name` and the byte offset unless `text` is valid.
absl::Status CheckUtf8(std::string_view text, std::string_view name);

// Bytes of the character that starts with `lead`. REQUIRES: valid text.
inline size_t Utf8Length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The character at *at; moves *at behind it. REQUIRES: valid text, *at < text.size().
char32_t DecodeUtf8(std::string_view text, size_t* at);

// REQUIRES: a code point that is not a surrogate.
void AppendUtf8(char32_t code_point, std::string* out);

std::u32string ToCodePoints(std::string_view valid_text);
std::string ToUtf8(std::u32string_view code_points);

// Length of the longest suffix that is the beginning of a character whose rest may still come.
size_t IncompleteUtf8Suffix(std::string_view bytes);

// Appends `bytes`, each maximal ill-formed part replaced by one U+FFFD (the substitution that the
// Unicode standard recommends, chapter 3.9; what Rust's from_utf8_lossy does).
void AppendLossyUtf8(std::string_view bytes, std::string* out);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_UTF8_H_
