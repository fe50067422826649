// Filters that give numbers.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/item_path.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/literals.h"
#include "engine/text/jinja/operators.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

absl::StatusOr<int64_t> Truncated(double real) {
  if (std::isfinite(real) && real > -0x1p63 && real < 0x1p63) return static_cast<int64_t>(real);
  return TypeError("float does not fit a 64 bit integer");
}

Result Int(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "int", {"default", "base"}, 0));
  const Value otherwise = args[0].missing() ? Value::Int(0) : args[0];
  CHORUS_ASSIGN_OR_RETURN(const int64_t base, IntOr(args[1], 10, "int: base"));
  if (self.is_undefined()) return TypeErrorFor(self, "");
  if (self.is_integral()) return Value::Int(self.int_value());
  if (self.is(Kind::kFloat)) {
    if (std::isnan(self.float_value())) return otherwise;
    CHORUS_ASSIGN_OR_RETURN(const int64_t value, Truncated(self.float_value()));
    return Value::Int(value);
  }
  if (!self.is_string()) return otherwise;
  bool overflow = false;
  if (base == 0 || (base >= 2 && base <= 36)) {
    const auto value = ParsePythonInt(self.text(), static_cast<int>(base), &overflow);
    if (value) return Value::Int(*value);
  }
  if (overflow) return TypeError("integer does not fit 64 bits");
  // "42.7" is 42.
  const auto real = ParsePythonFloat(self.text());
  if (!real || !std::isfinite(*real)) return otherwise;
  CHORUS_ASSIGN_OR_RETURN(const int64_t value, Truncated(*real));
  return Value::Int(value);
}

Result Float(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "float", {"default"}, 0));
  if (self.is_undefined()) return TypeErrorFor(self, "");
  if (self.is_number()) return Value::Float(self.number());
  if (self.is_string()) {
    if (const auto real = ParsePythonFloat(self.text())) return Value::Float(*real);
  }
  return args[0].missing() ? Value::Float(0) : args[0];
}

Result Abs(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "abs", {}, 0).status());
  if (self.is(Kind::kFloat)) return Value::Float(std::abs(self.float_value()));
  if (!self.is_integral()) {
    return TypeErrorFor(self, Cat("bad operand type for abs(): '", TypeName(self), "'"));
  }
  return self.int_value() < 0 ? Negative(self) : Positive(self);
}

// round(real, digits): to the nearest, exact ties to the even digit, as the decimal text of the
// exact binary value says.
double RoundFloat(double real, int64_t digits) {
  if (!std::isfinite(real) || digits > 320) return real;
  if (digits >= 0) {
    char buffer[720];
    std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(digits), real);
    return std::strtod(buffer, nullptr);
  }
  if (digits < -308) return std::copysign(0.0, real);
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(real / unit) * unit;
}

absl::StatusOr<Value> RoundInt(int64_t value, int64_t digits) {
  if (digits >= 0) return Value::Int(value);
  if (digits < -18) return Value::Int(0);
  int64_t unit = 1;
  for (int64_t i = digits; i < 0; ++i) unit *= 10;
  const int64_t rest = std::abs(value % unit);
  int64_t rounded = value - value % unit;
  const bool up = rest > unit - rest || (rest == unit - rest && (rounded / unit) % 2 != 0);
  if (up && __builtin_add_overflow(rounded, value < 0 ? -unit : unit, &rounded)) {
    return TypeError("integer result does not fit 64 bits");
  }
  return Value::Int(rounded);
}

Result Round(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "round", {"precision", "method"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const int64_t digits, IntOr(args[0], 0, "round: precision"));
  std::string_view method = "common";
  if (!args[1].missing()) {
    CHORUS_ASSIGN_OR_RETURN(method, AsString(args[1], "round: method"));
  }
  if (method != "common" && method != "ceil" && method != "floor") {
    return TypeError("method must be common, ceil or floor");
  }
  if (!self.is_number()) {
    return TypeErrorFor(self, Cat("round: must be a number, not ", TypeName(self)));
  }
  if (method == "common") {
    if (self.is_integral()) return RoundInt(self.int_value(), digits);
    return Value::Float(RoundFloat(self.float_value(), digits));
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  const double scaled = self.number() * unit;
  if (!std::isfinite(scaled)) return TypeError("round: cannot convert to an integer");
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Result Sum(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "sum", {"attribute", "start"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const ItemPath path, ItemPath::Parse(args[0]));
  Value sum = args[1].missing() ? Value::Int(0) : args[1];
  if (sum.is_string()) return TypeError("sum() can't sum strings [use ''.join(seq) instead]");
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(const Value part, path.Get(runtime, item));
    CHORUS_ASSIGN_OR_RETURN(sum, Arithmetic(runtime, Op::kAdd, sum, part));
    return true;
  }));
  return sum;
}

Result LengthFilter(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "length", {}, 0).status());
  CHORUS_ASSIGN_OR_RETURN(const int64_t length, Length(self));
  return Value::Int(length);
}

Result FileSize(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "filesizeformat", {"binary"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const Value number, Float(runtime, self, {}));
  const bool binary = TruthOr(args[0], false);
  const double bytes = number.float_value();
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::String("1 Byte");
  if (bytes < base) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t whole, Truncated(bytes));
    return runtime.String(Cat(whole, " Bytes"));
  }
  const std::string_view prefixes = "kMGTPEZY";
  double unit = base;
  for (size_t i = 0; i < prefixes.size(); ++i) {
    unit *= base;
    if (bytes >= unit && i + 1 < prefixes.size()) continue;
    char buffer[400];
    const char prefix = binary && prefixes[i] == 'k' ? 'K' : prefixes[i];
    std::snprintf(buffer, sizeof(buffer), "%.1f %c%sB", base * bytes / unit, prefix,
                  binary ? "i" : "");
    return runtime.String(buffer);
  }
  return Value();
}

constexpr NamedFunction kFilters[] = {
    {"abs", Abs},
    {"count", LengthFilter},
    {"filesizeformat", FileSize},
    {"float", Float},
    {"int", Int},
    {"length", LengthFilter},
    {"round", Round},
    {"sum", Sum},
};

}  // namespace

NativeFunction FindNumberFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace chorus::jinja
