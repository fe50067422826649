#include "engine/text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/markup.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

absl::Status Overflow() { return TypeError("integer result does not fit 64 bits"); }

std::string_view Symbol(Op op) {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSub:
      return "-";
    case Op::kMul:
      return "*";
    case Op::kDiv:
      return "/";
    case Op::kFloorDiv:
      return "//";
    case Op::kMod:
      return "%";
    default:
      return "**";
  }
}

absl::Status Unsupported(Op op, const Value& left, const Value& right) {
  const Value& culprit = left.is_undefined() ? left : right;
  return TypeErrorFor(culprit, Cat("unsupported operand type(s) for ", Symbol(op), ": '",
                                   TypeName(left), "' and '", TypeName(right), "'"));
}

absl::StatusOr<Value> IntPower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return Overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return Overflow();
  }
  return Value::Int(result);
}

absl::StatusOr<Value> FloatPower(double base, double exponent) {
  if (base == 0 && exponent < 0) return TypeError("0.0 cannot be raised to a negative power");
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) &&
      exponent != std::floor(exponent)) {
    return TypeError("complex numbers are not supported");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) {
    return TypeError("numerical result out of range");
  }
  return Value::Float(result);
}

absl::StatusOr<Value> Integers(Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return Overflow();
      return Value::Int(result);
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &result)) return Overflow();
      return Value::Int(result);
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &result)) return Overflow();
      return Value::Int(result);
    case Op::kPow:
      if (b < 0) return FloatPower(static_cast<double>(a), static_cast<double>(b));
      return IntPower(a, b);
    default:
      break;
  }
  if (b == 0) {
    return TypeError(op == Op::kDiv ? "division by zero" : "integer division or modulo by zero");
  }
  if (op == Op::kDiv) return Value::Float(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // the one divisor that can overflow
    if (op == Op::kMod) return Value::Int(0);
    return __builtin_sub_overflow(int64_t{0}, a, &result) ? absl::StatusOr<Value>(Overflow())
                                                          : Value::Int(result);
  }
  const bool adjust = a % b != 0 && (a < 0) != (b < 0);  // Python rounds down
  if (op == Op::kFloorDiv) return Value::Int(a / b - (adjust ? 1 : 0));
  return Value::Int(a % b + (adjust ? b : 0));
}

absl::StatusOr<Value> Floats(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value::Float(a + b);
    case Op::kSub:
      return Value::Float(a - b);
    case Op::kMul:
      return Value::Float(a * b);
    case Op::kPow:
      return FloatPower(a, b);
    default:
      break;
  }
  if (b == 0) {
    return TypeError(op == Op::kMod ? "float modulo" : "float division by zero");
  }
  if (op == Op::kDiv) return Value::Float(a / b);
  // As CPython's float_divmod: the remainder takes the divisor's sign.
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) {
      mod += b;
      div -= 1;
    }
  } else {
    mod = std::copysign(0.0, b);
  }
  if (op == Op::kMod) return Value::Float(mod);
  if (div == 0) return Value::Float(std::copysign(0.0, a / b));
  const double floored = std::floor(div);
  return Value::Float(div - floored > 0.5 ? floored + 1 : floored);
}

absl::StatusOr<Value> Concatenate(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_string() && right.is_string()) {
    if (left.string().markup || right.string().markup) {
      return runtime.String(Cat(EscapedText(left), EscapedText(right)), /*markup=*/true);
    }
    return runtime.String(Cat(left.text(), right.text()));
  }
  if (!left.is_string() && !left.is_sequence()) return Unsupported(Op::kAdd, left, right);
  if (left.kind() != right.kind()) {
    return TypeErrorFor(right, Cat("can only concatenate ", TypeName(left), " (not \"",
                                   TypeName(right), "\") to ", TypeName(left)));
  }
  std::vector<Value> items = left.items();
  items.insert(items.end(), right.items().begin(), right.items().end());
  return left.is(Kind::kList) ? runtime.List(std::move(items)) : runtime.Tuple(std::move(items));
}

absl::StatusOr<Value> Repeat(Runtime& runtime, const Value& sequence, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const size_t unit =
      sequence.is_string() ? sequence.text().size() : sequence.items().size() * sizeof(Value);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(unit), times, &bytes)) bytes = INT64_MAX;
  CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(bytes));
  if (unit == 0) times = 0;
  if (sequence.is_string()) {
    std::string text;
    text.reserve(static_cast<size_t>(bytes));
    for (int64_t i = 0; i < times; ++i) text += sequence.text();
    return Value::String(std::move(text), sequence.string().markup);
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < times; ++i) {
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  }
  return sequence.is(Kind::kList) ? Value::List(std::move(items)) : Value::Tuple(std::move(items));
}

bool Repeatable(const Value& value) { return value.is_string() || value.is_sequence(); }

}  // namespace

absl::StatusOr<Value> Arithmetic(Runtime& runtime, Op op, const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) {
    return Integers(op, left.int_value(), right.int_value());
  }
  if (left.is_number() && right.is_number()) return Floats(op, left.number(), right.number());
  if (op == Op::kAdd) return Concatenate(runtime, left, right);
  if (op == Op::kMul && Repeatable(left) && right.is_integral()) {
    return Repeat(runtime, left, right.int_value());
  }
  if (op == Op::kMul && Repeatable(right) && left.is_integral()) {
    return Repeat(runtime, right, left.int_value());
  }
  if (op == Op::kMod && left.is_string()) return PercentFormat(runtime, left, right);
  return Unsupported(op, left, right);
}

absl::StatusOr<Value> Negative(const Value& value) {
  if (value.is(Kind::kFloat)) return Value::Float(-value.float_value());
  if (!value.is_integral()) {
    return TypeErrorFor(value, Cat("bad operand type for unary -: '", TypeName(value), "'"));
  }
  return Integers(Op::kSub, 0, value.int_value());
}

absl::StatusOr<Value> Positive(const Value& value) {
  if (value.is(Kind::kFloat)) return value;
  if (value.is_integral()) return Value::Int(value.int_value());
  return TypeErrorFor(value, Cat("bad operand type for unary +: '", TypeName(value), "'"));
}

std::string_view CharacterAt(const StringObject& string, int64_t index) {
  if (index < 0) index += string.length;
  const std::string_view text = string.text;
  if (string.ascii()) return text.substr(static_cast<size_t>(index), 1);
  const size_t start = ByteOffset(text, index);
  return text.substr(start, ByteOffset(text.substr(start), 1));
}

namespace {

struct SliceBounds {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

absl::StatusOr<int64_t> SliceIndex(const Value& value, int64_t otherwise) {
  if (value.missing() || value.is_none()) return otherwise;
  if (value.is_integral()) return value.int_value();
  return TypeErrorFor(value, "slice indices must be integers or None");
}

// PySlice_AdjustIndices.
absl::StatusOr<SliceBounds> Bounds(int64_t length, const Value& start, const Value& stop,
                                   const Value& step) {
  SliceBounds bounds;
  CHORUS_ASSIGN_OR_RETURN(bounds.step, SliceIndex(step, 1));
  if (bounds.step == 0) return TypeError("slice step cannot be zero");
  bounds.step = std::max(bounds.step, -INT64_MAX);
  const bool down = bounds.step < 0;
  const int64_t lowest = down ? -1 : 0;
  const int64_t highest = down ? length - 1 : length;
  const auto clamp = [&](int64_t index) {
    return index < 0 ? std::max(index + length, lowest) : std::min(index, highest);
  };
  const bool from = !start.missing() && !start.is_none();
  const bool to = !stop.missing() && !stop.is_none();
  CHORUS_ASSIGN_OR_RETURN(const int64_t first, SliceIndex(start, 0));
  CHORUS_ASSIGN_OR_RETURN(const int64_t last, SliceIndex(stop, 0));
  bounds.start = from ? clamp(first) : down ? highest : 0;
  const int64_t end = to ? clamp(last) : down ? -1 : length;
  if (down ? end < bounds.start : bounds.start < end) {
    bounds.count = down ? (bounds.start - end - 1) / -bounds.step + 1
                        : (end - bounds.start - 1) / bounds.step + 1;
  }
  return bounds;
}

absl::StatusOr<Value> SliceString(Runtime& runtime, const StringObject& string,
                                  const SliceBounds& bounds) {
  const std::string_view text = string.text;
  if (bounds.count == 0) return runtime.String("", string.markup);
  if (bounds.step == 1) {
    if (string.ascii()) {
      return runtime.String(std::string(text.substr(static_cast<size_t>(bounds.start),
                                                    static_cast<size_t>(bounds.count))),
                            string.markup);
    }
    CHORUS_RETURN_IF_ERROR(runtime.Charge(static_cast<int64_t>(text.size() / 64)));
    const size_t begin = ByteOffset(text, bounds.start);
    const size_t size = ByteOffset(text.substr(begin), bounds.count);
    return runtime.String(std::string(text.substr(begin, size)), string.markup);
  }
  CHORUS_RETURN_IF_ERROR(runtime.Charge(string.length / 4));
  const std::vector<char32_t> codes = ToCodePoints(text);
  std::string out;
  for (int64_t i = 0; i < bounds.count; ++i) {
    AppendUtf8(codes[static_cast<size_t>(bounds.start + i * bounds.step)], &out);
  }
  return runtime.String(std::move(out), string.markup);
}

}  // namespace

absl::StatusOr<Value> Slice(Runtime& runtime, const Value& object, const Value& start,
                            const Value& stop, const Value& step) {
  if (object.is_string()) {
    CHORUS_ASSIGN_OR_RETURN(const SliceBounds bounds,
                            Bounds(object.string().length, start, stop, step));
    return SliceString(runtime, object.string(), bounds);
  }
  if (object.is_sequence()) {
    const auto& items = object.items();
    CHORUS_ASSIGN_OR_RETURN(const SliceBounds bounds,
                            Bounds(static_cast<int64_t>(items.size()), start, stop, step));
    std::vector<Value> picked;
    picked.reserve(static_cast<size_t>(bounds.count));
    for (int64_t i = 0; i < bounds.count; ++i) {
      picked.push_back(items[static_cast<size_t>(bounds.start + i * bounds.step)]);
    }
    CHORUS_RETURN_IF_ERROR(runtime.Charge(bounds.count / 8));
    return object.is(Kind::kList) ? runtime.List(std::move(picked))
                                  : runtime.Tuple(std::move(picked));
  }
  if (object.is(Kind::kRange)) {
    const auto& range = object.as<RangeObject>();
    CHORUS_ASSIGN_OR_RETURN(const SliceBounds bounds, Bounds(range.length, start, stop, step));
    auto part = std::make_shared<RangeObject>();
    part->start = range.At(bounds.start);
    part->length = bounds.count;
    if (bounds.count > 1) part->step = range.step * bounds.step;  // of items: fits
    part->stop = part->At(bounds.count);
    return Value::Of(Kind::kRange, std::move(part));
  }
  return TypeErrorFor(object, Cat("'", TypeName(object), "' object is not subscriptable"));
}

}  // namespace chorus::jinja
