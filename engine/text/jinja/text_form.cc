#include "engine/text/jinja/text_form.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

class Printer {
 public:
  explicit Printer(Runtime& runtime) : runtime_(runtime) {}

  absl::Status Print(const Value& value) {
    const Runtime::Nesting nesting(&runtime_);
    CHORUS_RETURN_IF_ERROR(nesting.Check());
    CHORUS_RETURN_IF_ERROR(runtime_.Charge(1));
    const size_t before = out_.size();
    CHORUS_RETURN_IF_ERROR(PrintUnchecked(value));
    return value.depth() > 1 ? absl::OkStatus()
                             : runtime_.ChargeBytes(static_cast<int64_t>(out_.size() - before));
  }

  std::string Take() { return std::move(out_); }

 private:
  absl::Status PrintUnchecked(const Value& value) {
    switch (value.kind()) {
      case Kind::kMissing:
      case Kind::kUndefined:
        out_ += "Undefined";
        break;
      case Kind::kNone:
        out_ += "None";
        break;
      case Kind::kBool:
        out_ += value.bool_value() ? "True" : "False";
        break;
      case Kind::kInt:
        Append(&out_, value.int_value());
        break;
      case Kind::kFloat:
        out_ += FloatRepr(value.float_value());
        break;
      case Kind::kString:
        out_ += value.string().markup ? Cat("Markup(", StringRepr(value.text()), ")")
                                      : StringRepr(value.text());
        break;
      case Kind::kList:
        return Items('[', value.items(), ']');
      case Kind::kTuple:
        return Items('(', value.items(), ')');
      case Kind::kDict:
        return Entries(value.dict());
      case Kind::kView:
        return View(value.as<ViewObject>());
      case Kind::kRange:
        Range(value.as<RangeObject>());
        break;
      case Kind::kNamespace:
        return Namespace(value.as<NamespaceObject>());
      case Kind::kMacro: {
        const std::string& name = value.as<MacroObject>().def->name;
        out_ += name.empty() ? "<Macro anonymous>" : Cat("<Macro ", StringRepr(name), ">");
        break;
      }
      case Kind::kLoop:
        return Loop(value.as<LoopObject>());
      default:
        Append(&out_, "<", TypeName(value), " object>");
    }
    return absl::OkStatus();
  }

  absl::Status Items(char open, const std::vector<Value>& items, char close) {
    out_ += open;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += ", ";
      CHORUS_RETURN_IF_ERROR(Print(items[i]));
    }
    if (open == '(' && items.size() == 1) out_ += ',';
    out_ += close;
    return absl::OkStatus();
  }

  absl::Status Entries(const DictObject& dict) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : dict.entries) {
      if (!first) out_ += ", ";
      first = false;
      CHORUS_RETURN_IF_ERROR(Print(key));
      out_ += ": ";
      CHORUS_RETURN_IF_ERROR(Print(value));
    }
    out_ += '}';
    return absl::OkStatus();
  }

  absl::Status View(const ViewObject& view) {
    std::vector<Value> items;
    for (size_t i = 0; i < view.dict.dict().entries.size(); ++i) items.push_back(view.At(i));
    out_ += view.part == ViewObject::Part::kKeys     ? "dict_keys("
            : view.part == ViewObject::Part::kValues ? "dict_values("
                                                     : "dict_items(";
    CHORUS_RETURN_IF_ERROR(Items('[', items, ']'));
    out_ += ')';
    return absl::OkStatus();
  }

  void Range(const RangeObject& range) {
    Append(&out_, "range(", range.start, ", ", range.stop);
    if (range.step != 1) Append(&out_, ", ", range.step);
    out_ += ')';
  }

  absl::Status Namespace(const NamespaceObject& space) {
    out_ += "<Namespace {";
    bool first = true;
    for (const auto& [name, value] : space.attributes) {
      if (!first) out_ += ", ";
      first = false;
      Append(&out_, StringRepr(name), ": ");
      CHORUS_RETURN_IF_ERROR(Print(value));
    }
    out_ += "}>";
    return absl::OkStatus();
  }

  absl::Status Loop(LoopObject& loop) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t length, loop.Length(runtime_));
    Append(&out_, "<LoopContext ", loop.index0 + 1, "/", length, ">");
    return absl::OkStatus();
  }

  Runtime& runtime_;
  std::string out_;
};

// The shortest of \x, \u and \U that holds the code.
void AppendEscape(char32_t code, std::string* out) {
  char escape[12];
  std::snprintf(escape, sizeof(escape),
                code <= 0xff     ? "\\x%02x"
                : code <= 0xffff ? "\\u%04x"
                                 : "\\U%08x",
                static_cast<unsigned>(code));
  *out += escape;
}

}  // namespace

absl::StatusOr<std::string> Repr(Runtime& runtime, const Value& value) {
  Printer printer(runtime);
  CHORUS_RETURN_IF_ERROR(printer.Print(value));
  return printer.Take();
}

absl::StatusOr<std::string> Str(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_undefined() || value.missing()) return std::string();
  return Repr(runtime, value);
}

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // "-1.2345e+06": the digits and the exponent, to be laid out as Python lays them out.
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const bool negative = text.starts_with("-");
  if (negative) text.remove_prefix(1);
  const size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits.append(text.substr(2, e - 2));
  int exponent = 0;
  const size_t sign = text[e + 1] == '+' ? 1 : 0;  // from_chars knows no plus
  std::from_chars(text.data() + e + 1 + sign, text.data() + text.size(), exponent);

  std::string out = negative ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) Append(&out, ".", digits.substr(1));
    char tail[8];
    std::snprintf(tail, sizeof(tail), "e%+03d", exponent);
    return out + tail;
  }
  if (exponent < 0) {
    return Cat(out, "0.", std::string(static_cast<size_t>(-exponent - 1), '0'), digits);
  }
  if (exponent + 1 >= count) {
    return Cat(out, digits, std::string(static_cast<size_t>(exponent + 1 - count), '0'), ".0");
  }
  const auto point = static_cast<size_t>(exponent + 1);
  return Cat(out, digits.substr(0, point), ".", digits.substr(point));
}

std::string StringRepr(std::string_view text) {
  // Single quotes, unless that would escape a quote that double quotes would not.
  const bool has_single = text.find('\'') != text.npos;
  const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const char32_t code = Decode(text, &at);
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (IsPrintable(code)) {
      out.append(text.substr(start, at - start));
    } else {
      AppendEscape(code, &out);
    }
  }
  out += quote;
  return out;
}

std::string EscapeNonAscii(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = Decode(text, &at);
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else {
      AppendEscape(code, &out);
    }
  }
  return out;
}

}  // namespace chorus::jinja
