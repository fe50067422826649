#include "engine/text/jinja/literals.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "absl/strings/ascii.h"
#include "engine/text/jinja/unicode.h"

namespace chorus::jinja {
namespace {

int DigitOf(char32_t code) {
  if (code >= '0' && code <= '9') return static_cast<int>(code - '0');
  if (code >= 'a' && code <= 'z') return static_cast<int>(code - 'a') + 10;
  if (code >= 'A' && code <= 'Z') return static_cast<int>(code - 'A') + 10;
  return code >= 0x80 && IsDecimal(code) ? DecimalValue(code) : 99;
}

// \xhh, \uhhhh, \Uhhhhhhhh: `digits` hexadecimal digits at *at.
absl::StatusOr<char32_t> HexEscape(std::string_view text, size_t* at, size_t digits) {
  if (*at + digits > text.size()) return absl::InvalidArgumentError("truncated escape in a string");
  char32_t code = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = text[(*at)++];
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError("truncated escape in a string");
    }
    code = code * 16 + static_cast<char32_t>(DigitOf(static_cast<unsigned char>(c)));
  }
  if (code > 0x10ffff) return absl::InvalidArgumentError("illegal Unicode character in a string");
  if (code >= 0xd800 && code < 0xe000) {
    return absl::InvalidArgumentError("a surrogate in a string cannot be written as UTF-8");
  }
  return code;
}

char32_t OctalEscape(std::string_view text, size_t* at) {
  char32_t code = 0;
  for (int i = 0; i < 3 && *at < text.size() && text[*at] >= '0' && text[*at] <= '7'; ++i) {
    code = code * 8 + static_cast<char32_t>(text[(*at)++] - '0');
  }
  return code;
}

// One escape, from behind its backslash.
absl::Status AppendEscape(std::string_view text, size_t* at, std::string* out) {
  const std::string_view simple = "\\'\"abfnrtv";
  const std::string_view meaning = "\\'\"\a\b\f\n\r\t\v";
  const char c = text[*at];
  if (const size_t found = simple.find(c); found != simple.npos) {
    ++*at;
    out->push_back(meaning[found]);
  } else if (c == '\n') {
    ++*at;  // a line goes on
  } else if (c >= '0' && c <= '7') {
    AppendUtf8(OctalEscape(text, at), out);
  } else if (c == 'x' || c == 'u' || c == 'U') {
    ++*at;
    const auto code = HexEscape(text, at, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    if (!code.ok()) return code.status();
    AppendUtf8(*code, out);
  } else if (c == 'N') {
    return absl::InvalidArgumentError("\\N{…} in a string is not supported");
  } else {
    // Unknown escapes stay. Python sees a character beyond ASCII as its own escape by then.
    const char32_t code = Decode(text, at);
    out->push_back('\\');
    if (code < 0x80) {
      out->push_back(c);
    } else {
      char escape[12];
      std::snprintf(escape, sizeof(escape),
                    code <= 0xff     ? "x%02x"
                    : code <= 0xffff ? "u%04x"
                                     : "U%08x",
                    static_cast<unsigned>(code));
      out->append(escape);
    }
  }
  return absl::OkStatus();
}

// \d(_?\d)*, the digits below `base`. Bytes from `at` on; 0 when there is no digit.
size_t DigitRun(std::string_view text, size_t at, int base) {
  size_t size = 0;
  while (at + size < text.size()) {
    size_t next = at + size;
    if (size > 0 && text[next] == '_') ++next;
    if (next >= text.size()) break;
    if (DigitOf(static_cast<unsigned char>(text[next])) >= base) break;
    size = next + 1 - at;
  }
  return size;
}

std::string WithoutUnderscores(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits.push_back(c);
  }
  return digits;
}

}  // namespace

absl::StatusOr<std::string> Unescape(std::string_view literal) {
  std::string out;
  out.reserve(literal.size());
  for (size_t at = 0; at < literal.size();) {
    if (literal[at] != '\\') {
      out.push_back(literal[at++]);
      continue;
    }
    if (++at == literal.size()) return absl::InvalidArgumentError("\\ at end of string");
    if (absl::Status status = AppendEscape(literal, &at, &out); !status.ok()) return status;
  }
  return out;
}

size_t FloatLength(std::string_view text) {
  size_t at = DigitRun(text, 0, 10);
  if (at == 0) return 0;
  bool is_float = false;
  if (at < text.size() && text[at] == '.') {
    if (const size_t fraction = DigitRun(text, at + 1, 10); fraction > 0) {
      at += 1 + fraction;
      is_float = true;
    }
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    size_t exponent = at + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (const size_t digits = DigitRun(text, exponent, 10); digits > 0) {
      at = exponent + digits;
      is_float = true;
    }
  }
  return is_float ? at : 0;
}

size_t IntegerLength(std::string_view text) {
  if (text.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) return 0;
  if (text[0] != '0') return DigitRun(text, 0, 10);
  if (text.size() > 2) {
    const char prefix = absl::ascii_tolower(static_cast<unsigned char>(text[1]));
    const int base = prefix == 'b' ? 2 : prefix == 'o' ? 8 : prefix == 'x' ? 16 : 0;
    const size_t start = text[2] == '_' ? 3 : 2;
    if (const size_t digits = base != 0 ? DigitRun(text, start, base) : 0; digits > 0) {
      return start + digits;
    }
  }
  return DigitRun(text, 0, 1);  // zeros only: 007 is no literal
}

double FloatValue(std::string_view literal) {
  const std::string digits = WithoutUnderscores(literal);
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc::result_out_of_range) value = std::strtod(digits.c_str(), nullptr);
  return value;
}

std::optional<int64_t> IntegerValue(std::string_view literal) {
  bool overflow = false;
  return ParsePythonInt(literal, 0, &overflow);
}

std::optional<int64_t> ParsePythonInt(std::string_view text, int base, bool* overflow) {
  *overflow = false;
  text = Strip(text);
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) text.remove_prefix(1);
  bool after_prefix = false;
  if (text.size() > 1 && text[0] == '0') {
    const char prefix = absl::ascii_tolower(static_cast<unsigned char>(text[1]));
    const int named = prefix == 'b' ? 2 : prefix == 'o' ? 8 : prefix == 'x' ? 16 : 0;
    if (named != 0 && (base == 0 || base == named)) {
      text.remove_prefix(2);
      base = named;
      after_prefix = true;
    }
  }
  const bool zeros_only = base == 0 && text.size() > 1 && text[0] == '0';  // 007
  if (base == 0) base = 10;
  // Collected as a negative number: there is one more of those.
  int64_t value = 0;
  bool digit_before = after_prefix;  // an underscore needs a digit, or the prefix, before it
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = Decode(text, &at);
    if (code == '_') {
      if (!digit_before || at == text.size()) return std::nullopt;
      digit_before = false;
      continue;
    }
    const int digit = DigitOf(code);
    if (digit >= base || (zeros_only && digit != 0)) return std::nullopt;
    digit_before = any = true;
    if (__builtin_mul_overflow(value, int64_t{base}, &value) ||
        __builtin_sub_overflow(value, int64_t{digit}, &value)) {
      *overflow = true;
      value = 0;
    }
  }
  if (!any) return std::nullopt;
  if (!negative && value == std::numeric_limits<int64_t>::min()) *overflow = true;
  if (*overflow) return std::nullopt;
  return negative ? value : -value;
}

std::optional<double> ParsePythonFloat(std::string_view text) {
  std::string ascii;
  text = Strip(text);
  for (size_t at = 0; at < text.size();) {
    const char32_t code = Decode(text, &at);
    if (code == '_') {
      const bool between = !ascii.empty() && absl::ascii_isdigit(ascii.back()) &&
                           at < text.size() && DigitOf(static_cast<unsigned char>(text[at])) < 10;
      if (!between) return std::nullopt;
      continue;
    }
    if (code >= 0x80 && !IsDecimal(code)) return std::nullopt;
    ascii.push_back(code < 0x80 ? static_cast<char>(code)
                                : static_cast<char>('0' + DecimalValue(code)));
  }
  const bool negative = ascii.starts_with("-");
  std::string_view digits = ascii;
  if (negative || ascii.starts_with("+")) digits.remove_prefix(1);
  if (digits.empty()) return std::nullopt;
  double value = 0;
  const std::string word = absl::AsciiStrToLower(std::string(digits));
  if (word == "inf" || word == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (word == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (digits[0] != '.' && !absl::ascii_isdigit(static_cast<unsigned char>(digits[0]))) {
      return std::nullopt;
    }
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (result.ptr != digits.data() + digits.size()) return std::nullopt;
    if (result.ec == std::errc::result_out_of_range) {
      value = std::strtod(std::string(digits).c_str(), nullptr);
    } else if (result.ec != std::errc()) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

}  // namespace chorus::jinja
