#include "engine/text/jinja/format.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/literals.h"
#include "engine/text/jinja/markup.h"
#include "engine/text/jinja/text_form.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

// "%…" conversions, one by one.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& argument)
      : runtime_(runtime),
        text_(format.text()),
        markup_(format.string().markup),
        argument_(argument) {}

  absl::StatusOr<Value> Run() {
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out_.append(text_.substr(at_, percent - at_));
      at_ = percent;
      if (at_ == text_.size()) break;
      ++at_;
      CHORUS_RETURN_IF_ERROR(Conversion());
    }
    const size_t given = argument_.is(Kind::kTuple) ? argument_.items().size() : 1;
    // What has items by key counts as a mapping, which may hold more than is asked for.
    const bool mapping = argument_.is(Kind::kDict) || argument_.is(Kind::kList) ||
                         argument_.is(Kind::kRange) || argument_.is_undefined();
    if (used_ < given && !mapping) {
      return TypeError("not all arguments converted during string formatting");
    }
    return runtime_.String(std::move(out_), markup_);
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  absl::StatusOr<Value> NextArgument() {
    if (argument_.is(Kind::kTuple)) {
      if (used_ < argument_.items().size()) return argument_.items()[used_++];
    } else if (used_ == 0) {
      ++used_;
      return argument_;
    }
    return TypeError("not enough arguments for format string");
  }

  absl::StatusOr<Value> NamedArgument() {
    const size_t end = text_.find(')', at_);
    if (end == text_.npos) return TypeError("incomplete format key");
    const std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (!argument_.is(Kind::kDict)) return TypeError("format requires a mapping");
    const Value* value = argument_.dict().Find(name);
    if (value == nullptr) return TypeError(Cat("no key '", name, "' to format"));
    return *value;
  }

  absl::StatusOr<int64_t> Number() {
    if (peek() == '*') {
      ++at_;
      CHORUS_ASSIGN_OR_RETURN(const Value value, NextArgument());
      return AsInt(value, "* in a format");
    }
    int64_t number = 0;
    while (absl::ascii_isdigit(static_cast<unsigned char>(peek()))) {
      number = number * 10 + (text_[at_++] - '0');
      if (number > 1 << 24) return TypeError("width too big");
    }
    return number;
  }

  absl::Status Conversion() {
    Value value;
    if (peek() == '(') {
      CHORUS_ASSIGN_OR_RETURN(value, NamedArgument());
    }
    FormatSpec spec{.align = '>'};
    bool zero = false;
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos && peek() != 0; ++at_) {
      if (peek() == '-') spec.align = '<';
      if (peek() == '+' || (peek() == ' ' && spec.sign != '+')) spec.sign = peek();
      if (peek() == '#') spec.alternate = true;
      if (peek() == '0') zero = true;
    }
    CHORUS_ASSIGN_OR_RETURN(spec.width, Number());
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (spec.width > 1 << 24) return TypeError("width too big");
    if (peek() == '.') {
      ++at_;
      CHORUS_ASSIGN_OR_RETURN(spec.precision, Number());
      if (spec.precision < 0) spec.precision = 0;
      if (spec.precision > 1000) return TypeError("precision too big");
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    if (at_ == text_.size()) return TypeError("incomplete format");
    const char type = text_[at_++];
    if (type == '%') {
      out_ += '%';
      return absl::OkStatus();
    }
    if (value.missing()) {
      CHORUS_ASSIGN_OR_RETURN(value, NextArgument());
    }
    if (zero && spec.align != '<' && std::string_view("sra").find(type) == std::string_view::npos) {
      spec.fill = '0';
      spec.align = '=';
    }
    return Append(value, type, spec);
  }

  absl::StatusOr<std::string> Text(const Value& value, char type) {
    CHORUS_ASSIGN_OR_RETURN(std::string text,
                            type == 's' ? Str(runtime_, value) : Repr(runtime_, value));
    if (type == 'a') text = EscapeNonAscii(text);
    if (markup_ && !(value.is_string() && value.string().markup)) text = EscapeHtml(text);
    return text;
  }

  absl::Status Append(const Value& value, char type, FormatSpec spec) {
    std::string text;
    switch (type) {
      case 's':
      case 'r':
      case 'a': {
        CHORUS_ASSIGN_OR_RETURN(text, Text(value, type));
        if (spec.precision >= 0) text.resize(ByteOffset(text, spec.precision));
        break;
      }
      case 'c':
        if (value.is_string()) {
          if (value.string().length != 1) return TypeError("%c requires int or char");
          text = value.text();
          break;
        }
        [[fallthrough]];
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        CHORUS_ASSIGN_OR_RETURN(text, Integer(value, type, spec));
        break;
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        if (!value.is_number()) {
          return TypeErrorFor(value, Cat("must be real number, not ", TypeName(value)));
        }
        spec.type = type;
        CHORUS_ASSIGN_OR_RETURN(text, FormatFloat(value.number(), spec));
        break;
      }
      default:
        return TypeError(Cat("unsupported format character '", std::string(1, type), "'"));
    }
    const size_t sign_size =
        !text.empty() && std::string_view("+- ").find(text[0]) != std::string_view::npos ? 1 : 0;
    CHORUS_ASSIGN_OR_RETURN(text, Pad(runtime_, std::move(text), spec, '>', sign_size));
    out_ += text;
    return runtime_.ChargeBytes(static_cast<int64_t>(text.size()));
  }

  absl::StatusOr<std::string> Integer(const Value& value, char type, FormatSpec spec) {
    const bool decimal = type == 'd' || type == 'i' || type == 'u';
    if (!value.is_integral() && !(decimal && value.is(Kind::kFloat))) {
      return TypeErrorFor(value, Cat("%", std::string(1, type),
                                     " format: a number is required, not ", TypeName(value)));
    }
    int64_t number = value.is_integral() ? value.int_value() : 0;
    if (value.is(Kind::kFloat)) {
      const double real = value.float_value();
      if (!(real > -0x1p63 && real < 0x1p63)) return TypeError("cannot convert float to integer");
      number = static_cast<int64_t>(real);
    }
    spec.type = decimal ? 'd' : type;
    const int64_t digits = std::exchange(spec.precision, -1);
    CHORUS_ASSIGN_OR_RETURN(std::string text, FormatInteger(number, spec));
    if (digits > 0) {  // at least so many digits, behind the sign
      const size_t sign = absl::ascii_isalnum(static_cast<unsigned char>(text[0])) ? 0 : 1;
      if (static_cast<int64_t>(text.size() - sign) < digits) {
        text.insert(sign, static_cast<size_t>(digits) - (text.size() - sign), '0');
      }
    }
    return text;
  }

  Runtime& runtime_;
  const std::string_view text_;
  const bool markup_;
  const Value argument_;
  size_t at_ = 0;
  size_t used_ = 0;
  std::string out_;
};

// "{…}" fields.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments, bool markup)
      : runtime_(runtime), arguments_(arguments), markup_(markup) {}

  absl::StatusOr<std::string> Format(std::string_view text, int levels) {
    if (levels < 0) return TypeError("Max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const char c = text[at];
      if ((c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        return TypeError("Single '}' encountered in format string");
      } else if (c == '{') {
        CHORUS_ASSIGN_OR_RETURN(const std::string field, Field(text, &at, levels));
        CHORUS_RETURN_IF_ERROR(runtime_.ChargeBytes(static_cast<int64_t>(field.size())));
        out += field;
      } else {
        out += c;
        ++at;
      }
    }
    return out;
  }

 private:
  // One field from its brace on: {name!conversion:spec}.
  absl::StatusOr<std::string> Field(std::string_view text, size_t* at, int levels) {
    const size_t begin = ++*at;
    size_t end = begin;
    for (int depth = 1; end < text.size(); ++end) {
      if (text[end] == '{') ++depth;
      if (text[end] == '}' && --depth == 0) break;
    }
    if (end == text.size()) return TypeError("expected '}' before end of string");
    *at = end + 1;
    std::string_view field = text.substr(begin, end - begin);
    size_t split = 0;
    for (bool bracket = false; split < field.size(); ++split) {
      if (field[split] == '[') bracket = true;
      if (field[split] == ']') bracket = false;
      if (!bracket && (field[split] == '!' || field[split] == ':')) break;
    }
    const std::string_view name = field.substr(0, split);
    field.remove_prefix(split);
    char conversion = 0;
    if (!field.empty() && field[0] == '!') {
      if (field.size() < 2)
        return TypeError("end of string while looking for conversion specifier");
      conversion = field[1];
      field.remove_prefix(2);
      if (!field.empty() && field[0] != ':')
        return TypeError("expected ':' after conversion specifier");
    }
    CHORUS_ASSIGN_OR_RETURN(Value value, Lookup(name));
    CHORUS_ASSIGN_OR_RETURN(const std::string spec,
                            Format(field.empty() ? field : field.substr(1), levels - 1));
    if (conversion == 'r' || conversion == 's' || conversion == 'a') {
      CHORUS_ASSIGN_OR_RETURN(std::string shown,
                              conversion == 's' ? Str(runtime_, value) : Repr(runtime_, value));
      if (conversion == 'a') shown = EscapeNonAscii(shown);
      value = Value::String(std::move(shown));
    } else if (conversion != 0) {
      return TypeError(Cat("Unknown conversion specifier ", std::string(1, conversion)));
    }
    CHORUS_ASSIGN_OR_RETURN(std::string shown, FormatValue(runtime_, value, spec));
    const bool safe = value.is_string() && value.string().markup;
    return markup_ && !safe ? EscapeHtml(shown) : shown;
  }

  absl::StatusOr<Value> First(std::string_view name) {
    const bool digits = !name.empty() && absl::ascii_isdigit(static_cast<unsigned char>(name[0]));
    if (name.empty() || digits) {
      if (digits == automatic_.value_or(!digits)) {
        return TypeError("cannot mix automatic and manual field numbering");
      }
      automatic_ = !digits;
      bool overflow = false;
      const auto index = digits ? ParsePythonInt(name, 10, &overflow) : next_++;
      if (!index || *index >= static_cast<int64_t>(arguments_.positional.size())) {
        return TypeError("Replacement index out of range for positional args tuple");
      }
      return arguments_.positional[static_cast<size_t>(*index)];
    }
    for (const auto& [keyword, value] : arguments_.keyword) {
      if (keyword == name) return value;
    }
    return TypeError(Cat("no argument '", name, "' to format"));
  }

  // first(.attribute | [item])*
  absl::StatusOr<Value> Lookup(std::string_view name) {
    const size_t first = std::min(name.find_first_of(".["), name.size());
    CHORUS_ASSIGN_OR_RETURN(Value value, First(name.substr(0, first)));
    for (size_t at = first; at < name.size();) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        CHORUS_ASSIGN_OR_RETURN(value,
                                GetAttribute(runtime_, value, name.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      const size_t end = name[at] == '[' ? name.find(']', at) : name.npos;
      if (end == name.npos) return TypeError("Missing ']' in format string");
      const std::string_view key = name.substr(at + 1, end - at - 1);
      bool overflow = false;
      const bool digits = !key.empty() && absl::ascii_isdigit(static_cast<unsigned char>(key[0]));
      const auto index = digits ? ParsePythonInt(key, 10, &overflow) : std::nullopt;
      CHORUS_ASSIGN_OR_RETURN(
          value,
          GetItem(runtime_, value, index ? Value::Int(*index) : Value::String(std::string(key))));
      at = end + 1;
    }
    return value;
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  const bool markup_;
  std::optional<bool> automatic_;  // whether fields number themselves; unset: not known yet
  int64_t next_ = 0;
};

}  // namespace

absl::StatusOr<Value> PercentFormat(Runtime& runtime, const Value& format, const Value& argument) {
  return PercentFormatter(runtime, format, argument).Run();
}

absl::StatusOr<Value> BraceFormat(Runtime& runtime, const Value& format,
                                  const Arguments& arguments) {
  const bool markup = format.string().markup;
  BraceFormatter formatter(runtime, arguments, markup);
  CHORUS_ASSIGN_OR_RETURN(std::string text, formatter.Format(format.text(), 2));
  return runtime.String(std::move(text), markup);
}

}  // namespace chorus::jinja
