// The format specification mini-language of Python.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/text_form.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

constexpr int64_t kMaxPrecision = 1000;
constexpr int64_t kMaxWidth = int64_t{1} << 24;

bool IsAlign(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

absl::StatusOr<int64_t> TakeNumber(std::string_view* text, int64_t limit) {
  int64_t number = 0;
  while (!text->empty() && absl::ascii_isdigit(static_cast<unsigned char>(text->front()))) {
    number = number * 10 + (text->front() - '0');
    if (number > limit) return TypeError("width or precision in a format is too large");
    text->remove_prefix(1);
  }
  return number;
}

// "1234567" becomes "1,234,567"; groups of `size` digits counted from the end of the run.
std::string Group(std::string_view digits, char separator, size_t size) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// The sign to print; the caller prints the magnitude.
std::string_view SignText(bool negative, char sign) {
  if (negative) return "-";
  return sign == '+' ? "+" : sign == ' ' ? " " : "";
}

std::string Fixed(const char* format, int64_t precision, double value) {
  const int size = std::snprintf(nullptr, 0, format, static_cast<int>(precision), value);
  std::string text(static_cast<size_t>(size), '\0');
  std::snprintf(text.data(), text.size() + 1, format, static_cast<int>(precision), value);
  return text;
}

}  // namespace

absl::StatusOr<FormatSpec> ParseFormatSpec(std::string_view text, bool of_number) {
  FormatSpec spec;
  bool has_fill = false;
  const std::string_view whole = text;
  if (!text.empty()) {
    size_t fill = 0;
    Decode(text, &fill);
    if (fill < text.size() && IsAlign(text[fill])) {
      spec.fill = text.substr(0, fill);
      has_fill = true;
      spec.align = text[fill];
      text.remove_prefix(fill + 1);
    } else if (IsAlign(text[0])) {
      spec.align = text[0];
      text.remove_prefix(1);
    }
  }
  const auto take = [&text](std::string_view any) {
    if (text.empty() || any.find(text.front()) == any.npos) return '\0';
    const char c = text.front();
    text.remove_prefix(1);
    return c;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (!has_fill && take("0") != 0) {
    spec.fill = '0';
    if (spec.align == 0 && of_number) spec.align = '=';
  }
  CHORUS_ASSIGN_OR_RETURN(spec.width, TakeNumber(&text, kMaxWidth));
  spec.grouping = take(",_");
  if (take(".") != 0) {
    if (text.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(text.front()))) {
      return TypeError("Format specifier missing precision");
    }
    CHORUS_ASSIGN_OR_RETURN(spec.precision, TakeNumber(&text, kMaxPrecision));
  }
  spec.type = take("bcdeEfFgGnosxX%");
  if (!text.empty()) return TypeError(Cat("Invalid format specifier '", whole, "'"));
  return spec;
}

absl::StatusOr<std::string> FormatInteger(int64_t value, const FormatSpec& spec) {
  const bool negative = value < 0;
  const uint64_t magnitude =
      negative ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  if (spec.type == 'c') {
    if (magnitude > 0x10ffff || negative || (magnitude >= 0xd800 && magnitude < 0xe000)) {
      return TypeError("%c arg not in range");
    }
    std::string text;
    AppendUtf8(static_cast<char32_t>(magnitude), &text);
    return text;
  }
  if (spec.precision >= 0) return TypeError("Precision not allowed in integer format specifier");
  const char type = static_cast<char>(absl::ascii_tolower(static_cast<unsigned char>(spec.type)));
  const int base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' ? 16 : 10;
  char buffer[72];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), magnitude, base);
  std::string digits(buffer, end.ptr);
  if (spec.grouping != 0) digits = Group(digits, spec.grouping, base == 10 ? 3 : 4);
  std::string prefix;
  if (spec.alternate && base != 10) prefix = Cat("0", std::string(1, type));
  std::string text = Cat(SignText(negative, spec.sign), prefix, digits);
  if (spec.type == 'X') absl::AsciiStrToUpper(&text);
  return text;
}

absl::StatusOr<std::string> FormatFloat(double value, const FormatSpec& spec) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = std::abs(value);
  std::string text;
  if (std::isnan(value) || std::isinf(value)) {
    text = std::isnan(value) ? "nan" : "inf";
    if (spec.type == '%') text += '%';
    if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') absl::AsciiStrToUpper(&text);
    return Cat(SignText(negative, spec.sign), text);
  }
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'e':
      text = Fixed(spec.alternate ? "%#.*e" : "%.*e", precision, magnitude);
      break;
    case 'E':
      text = Fixed(spec.alternate ? "%#.*E" : "%.*E", precision, magnitude);
      break;
    case 'f':
    case 'F':
      text = Fixed(spec.alternate ? "%#.*f" : "%.*f", precision, magnitude);
      break;
    case 'g':
    case 'n':
      text = Fixed(spec.alternate ? "%#.*g" : "%.*g", precision, magnitude);
      break;
    case 'G':
      text = Fixed(spec.alternate ? "%#.*G" : "%.*G", precision, magnitude);
      break;
    case '%':
      text = Fixed("%.*f", precision, magnitude * 100) + "%";
      break;
    case 0:
      if (spec.precision < 0) {
        text = FloatRepr(magnitude);
      } else {  // as 'g', with at least one digit behind the point
        text = Fixed("%.*g", std::max<int64_t>(spec.precision, 1), magnitude);
        if (text.find_first_of(".e") == text.npos) text += ".0";
      }
      break;
    default:
      return TypeError(
          Cat("Unknown format code '", std::string(1, spec.type), "' for object of type 'float'"));
  }
  if (spec.grouping != 0) {
    const size_t whole = std::min(text.find_first_not_of("0123456789"), text.size());
    text = Group(text.substr(0, whole), spec.grouping, 3) + text.substr(whole);
  }
  return Cat(SignText(negative, spec.sign), text);
}

absl::StatusOr<std::string> Pad(Runtime& runtime, std::string text, const FormatSpec& spec,
                                char default_align, size_t sign_size) {
  const int64_t missing = spec.width - CodePointCount(text);
  if (missing <= 0) return text;
  CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(missing * static_cast<int64_t>(spec.fill.size())));
  const char align = spec.align == 0 ? default_align : spec.align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  const auto repeat = [&spec](int64_t times) {
    std::string fill;
    for (int64_t i = 0; i < times; ++i) fill += spec.fill;
    return fill;
  };
  const size_t head = align == '=' ? sign_size : 0;
  return Cat(text.substr(0, head), repeat(left), text.substr(head), repeat(missing - left));
}

absl::StatusOr<std::string> FormatValue(Runtime& runtime, const Value& value,
                                        std::string_view text) {
  if (text.empty()) return Str(runtime, value);
  const bool number = value.is_number();
  if (!number && !value.is_string()) {
    return TypeErrorFor(
        value, Cat("unsupported format string passed to ", TypeName(value), ".__format__"));
  }
  CHORUS_ASSIGN_OR_RETURN(FormatSpec spec, ParseFormatSpec(text, number));
  if (!number) {
    if ((spec.type != 0 && spec.type != 's') || spec.align == '=' || spec.sign != '-' ||
        spec.grouping != 0 || spec.alternate) {
      return TypeError(Cat("Invalid format specifier '", text, "' for a string"));
    }
    std::string shown = value.text();
    if (spec.precision >= 0) shown.resize(ByteOffset(shown, spec.precision));
    return Pad(runtime, std::move(shown), spec, '<', 0);
  }
  const bool as_float = value.is(Kind::kFloat) ||
                        std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  std::string shown;
  if (as_float && spec.type != 0) {
    CHORUS_ASSIGN_OR_RETURN(shown, FormatFloat(value.number(), spec));
  } else if (value.is(Kind::kFloat)) {
    CHORUS_ASSIGN_OR_RETURN(shown, FormatFloat(value.float_value(), spec));
  } else {
    if (spec.type == 's') return TypeError("Unknown format code 's' for object of type 'int'");
    CHORUS_ASSIGN_OR_RETURN(shown, FormatInteger(value.int_value(), spec));
  }
  size_t sign_size =
      !shown.empty() && std::string_view("+- ").find(shown[0]) != std::string_view::npos;
  if (spec.alternate && !as_float && shown.size() > sign_size + 1 &&
      absl::ascii_isalpha(static_cast<unsigned char>(shown[sign_size + 1]))) {
    sign_size += 2;  // 0x stays in front of the zeros
  }
  return Pad(runtime, std::move(shown), spec, '>', sign_size);
}

}  // namespace chorus::jinja
