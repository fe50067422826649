#include "engine/text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>

namespace chorus::jinja {
namespace {

struct Expansion {
  char32_t code;
  char32_t mapped[3];  // zeros at the end
};
struct Range {
  char32_t first;
  char32_t last;
};

#include "engine/text/jinja/unicode_tables.inc"

template <size_t n>
bool Contains(const Range (&ranges)[n], char32_t code) {
  const Range* it = std::upper_bound(std::begin(ranges), std::end(ranges), code,
                                     [](char32_t c, const Range& r) { return c < r.first; });
  return it != std::begin(ranges) && code <= std::prev(it)->last;
}

template <size_t n>
bool AppendExpansion(const Expansion (&table)[n], char32_t code, std::string* out) {
  const Expansion* it = std::lower_bound(std::begin(table), std::end(table), code,
                                         [](const Expansion& e, char32_t c) { return e.code < c; });
  if (it == std::end(table) || it->code != code) return false;
  for (const char32_t mapped : it->mapped) {
    if (mapped != 0) AppendUtf8(mapped, out);
  }
  return true;
}

utf8proc_category_t Category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

void AppendUpper(char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code >= 'a' && code <= 'z' ? code - 32 : code));
  } else if (!AppendExpansion(kUpper, code, out)) {
    AppendUtf8(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))), out);
  }
}

void AppendTitle(char32_t code, std::string* out) {
  if (!AppendExpansion(kTitle, code, out)) {
    AppendUtf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))), out);
  }
}

bool IsCaseIgnorable(char32_t code) {
  switch (Category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:  // Word_Break MidLetter, MidNumLet and Single_Quote
      return code == '\'' || code == '.' || code == ':' || code == 0xb7 || code == 0x387 ||
             code == 0x55f || code == 0x5f4 || code == 0x2018 || code == 0x2019 || code == 0x2024 ||
             code == 0x2027 || code == 0xfe13 || code == 0xfe52 || code == 0xfe55 ||
             code == 0xff07 || code == 0xff0e || code == 0xff1a;
  }
}

// Unicode 3.13, Final_Sigma: a cased letter before, none after, case-ignorable ones skipped.
bool IsFinalSigma(std::string_view text, size_t start, size_t end) {
  char32_t code = 0;
  while (start > 0 && IsCaseIgnorable(code = DecodeBackward(text, &start))) code = 0;
  if (code == 0 || !IsCased(code)) return false;
  while (end < text.size()) {
    code = Decode(text, &end);
    if (!IsCaseIgnorable(code)) return !IsCased(code);
  }
  return true;
}

void AppendLower(std::string_view text, size_t start, size_t end, char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code));
  } else if (code == 0x130) {  // I with dot: the only letter with a longer lower case
    out->append("i\xcc\x87");
  } else if (code == 0x3a3) {
    AppendUtf8(IsFinalSigma(text, start, end) ? 0x3c2 : 0x3c3, out);
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))), out);
  }
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t code;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (size <= 0) return false;
    at += static_cast<size_t>(size);
  }
  return true;
}

int64_t CodePointCount(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

char32_t Decode(std::string_view text, size_t* at) {
  const auto byte = static_cast<unsigned char>(text[*at]);
  if (byte < 0x80) {
    ++*at;
    return byte;
  }
  utf8proc_int32_t code;
  const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + *at,
                                     static_cast<utf8proc_ssize_t>(text.size() - *at), &code);
  *at += size > 0 ? static_cast<size_t>(size) : 1;
  return size > 0 ? static_cast<char32_t>(code) : byte;
}

char32_t DecodeBackward(std::string_view text, size_t* end) {
  size_t start = *end - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
  *end = start;
  size_t at = start;
  return Decode(text, &at);
}

void AppendUtf8(char32_t code, std::string* out) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

std::vector<char32_t> ToCodePoints(std::string_view text) {
  std::vector<char32_t> codes;
  codes.reserve(text.size());
  for (size_t at = 0; at < text.size();) codes.push_back(Decode(text, &at));
  return codes;
}

std::string FromCodePoints(const std::vector<char32_t>& codes) {
  std::string text;
  text.reserve(codes.size());
  for (const char32_t code : codes) AppendUtf8(code, &text);
  return text;
}

size_t ByteOffset(std::string_view text, int64_t index) {
  size_t at = 0;
  while (index > 0 && at < text.size()) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    --index;
  }
  return at;
}

bool IsSpace(char32_t code) {
  if (code < 0x80) return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool IsLineBreak(char32_t code) {
  return (code >= 0x0a && code <= 0x0d) || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

bool IsAlpha(char32_t code) {
  const auto category = Category(code);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool IsDecimal(char32_t code) { return Category(code) == UTF8PROC_CATEGORY_ND; }
bool IsDigit(char32_t code) { return IsDecimal(code) || Contains(kOtherDigit, code); }

bool IsNumeric(char32_t code) {
  const auto category = Category(code);
  return (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) ||
         Contains(kOtherNumeric, code);
}

bool IsWord(char32_t code) { return code == '_' || IsAlpha(code) || IsNumeric(code); }

bool IsPrintable(char32_t code) {
  if (code == ' ') return true;
  switch (Category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool IsLower(char32_t code) {
  return Category(code) == UTF8PROC_CATEGORY_LL || Contains(kOtherLower, code);
}
bool IsUpper(char32_t code) {
  return Category(code) == UTF8PROC_CATEGORY_LU || Contains(kOtherUpper, code);
}
bool IsTitle(char32_t code) { return Category(code) == UTF8PROC_CATEGORY_LT; }

// Decimal digits come in runs of ten that start at a zero, except where runs of ten touch: those
// are all aligned on a multiple of ten from the first.
int DecimalValue(char32_t code) {
  char32_t first = code;
  while (first > 0 && IsDecimal(first - 1)) --first;
  return static_cast<int>((code - first) % 10);
}

std::string ToUpper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) AppendUpper(Decode(text, &at), &out);
  return out;
}

std::string ToLower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t code = Decode(text, &at);
    AppendLower(text, start, at, code, &out);
  }
  return out;
}

std::string ToTitle(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t code = Decode(text, &at);
    if (inside) {
      AppendLower(text, start, at, code, &out);
    } else {
      AppendTitle(code, &out);
    }
    inside = IsCased(code);
  }
  return out;
}

std::string Capitalize(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t code = Decode(text, &at);
    if (start == 0) {
      AppendTitle(code, &out);
    } else {
      AppendLower(text, start, at, code, &out);
    }
  }
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t code = Decode(text, &at);
    if (IsUpper(code)) {
      AppendLower(text, start, at, code, &out);
    } else if (IsLower(code)) {
      AppendUpper(code, &out);
    } else {
      AppendUtf8(code, &out);
    }
  }
  return out;
}

std::string CaseFold(std::string_view text) {
  utf8proc_uint8_t* folded = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &folded, UTF8PROC_CASEFOLD);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(folded, &std::free);
  if (size < 0) return ToLower(text);
  return std::string(reinterpret_cast<const char*>(folded), static_cast<size_t>(size));
}

std::string_view StripLeft(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (!IsSpace(Decode(text, &next))) break;
    at = next;
  }
  return text.substr(at);
}

std::string_view StripRight(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t start = end;
    if (!IsSpace(DecodeBackward(text, &start))) break;
    end = start;
  }
  return text.substr(0, end);
}

std::string_view Strip(std::string_view text) { return StripRight(StripLeft(text)); }

}  // namespace chorus::jinja
