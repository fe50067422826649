// Text as Python's str sees it: code points, case, white space. Strings are UTF-8 that was checked
// on entry; a byte that is not part of valid UTF-8 counts as one character and is kept.
#ifndef CHORUS_ENGINE_TEXT_JINJA_UNICODE_H_
#define CHORUS_ENGINE_TEXT_JINJA_UNICODE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chorus::jinja {

bool IsValidUtf8(std::string_view text);
int64_t CodePointCount(std::string_view text);

// The code point at byte *at; moves *at behind it. REQUIRES: *at < text.size().
char32_t Decode(std::string_view text, size_t* at);
// The code point that ends at byte *end; moves *end to its first byte. REQUIRES: *end > 0.
char32_t DecodeBackward(std::string_view text, size_t* end);
void AppendUtf8(char32_t code, std::string* out);
std::vector<char32_t> ToCodePoints(std::string_view text);
std::string FromCodePoints(const std::vector<char32_t>& codes);
// The byte where code point number `index` starts; text.size() when there are fewer.
size_t ByteOffset(std::string_view text, int64_t index);

bool IsSpace(char32_t code);      // str.isspace
bool IsAlpha(char32_t code);      // str.isalpha
bool IsDecimal(char32_t code);    // str.isdecimal
bool IsDigit(char32_t code);      // str.isdigit
bool IsNumeric(char32_t code);    // str.isnumeric
bool IsPrintable(char32_t code);  // str.isprintable
bool IsWord(char32_t code);       // \w of Python's re
bool IsLower(char32_t code);
bool IsUpper(char32_t code);
bool IsTitle(char32_t code);
inline bool IsCased(char32_t code) { return IsLower(code) || IsUpper(code) || IsTitle(code); }
bool IsLineBreak(char32_t code);  // where str.splitlines cuts
int DecimalValue(char32_t code);  // of an IsDecimal code point

// Full case mapping: one code point may become several.
std::string ToUpper(std::string_view text);
std::string ToLower(std::string_view text);
std::string ToTitle(std::string_view text);  // str.title
std::string Capitalize(std::string_view text);
std::string SwapCase(std::string_view text);
std::string CaseFold(std::string_view text);

std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
std::string_view Strip(std::string_view text);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_UNICODE_H_
