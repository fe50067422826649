#include "engine/text/jinja/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/iteration.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

std::partial_ordering CompareIntFloat(int64_t integer, double real) {
  if (std::isnan(real)) return std::partial_ordering::unordered;
  if (real >= 0x1p63) return std::partial_ordering::less;
  if (real < -0x1p63) return std::partial_ordering::greater;
  const double whole = std::trunc(real);
  const auto as_integer = static_cast<int64_t>(whole);
  if (integer != as_integer) return integer <=> as_integer;
  return 0.0 <=> real - whole;
}

// Exact also where a double cannot hold the integer.
std::partial_ordering CompareNumbers(const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) return left.int_value() <=> right.int_value();
  if (left.is_integral()) return CompareIntFloat(left.int_value(), right.float_value());
  if (right.is_integral()) return 0 <=> CompareIntFloat(right.int_value(), left.float_value());
  return left.float_value() <=> right.float_value();
}

absl::StatusOr<bool> EqualItems(Runtime& runtime, const std::vector<Value>& left,
                                const std::vector<Value>& right) {
  if (left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i) {
    CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, left[i], right[i]));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> EqualDicts(Runtime& runtime, const DictObject& left, const DictObject& right) {
  if (left.entries.size() != right.entries.size()) return false;
  for (const auto& [key, value] : left.entries) {
    const Value* other = right.Find(key);
    if (other == nullptr) return false;
    CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, value, *other));
    if (!equal) return false;
  }
  return true;
}

bool EqualRanges(const RangeObject& left, const RangeObject& right) {
  return left.length == right.length &&
         (left.length == 0 ||
          (left.start == right.start && (left.length == 1 || left.step == right.step)));
}

absl::Status Unordered(const Value& left, const Value& right, std::string_view op) {
  const Value& culprit = left.is_undefined() ? left : right;
  return TypeErrorFor(culprit, Cat("'", op, "' not supported between instances of '",
                                   TypeName(left), "' and '", TypeName(right), "'"));
}

absl::StatusOr<bool> Ordered(Runtime& runtime, const Value& left, const Value& right, bool or_equal,
                             std::string_view op) {
  if (left.is_number() && right.is_number()) {
    const auto order = CompareNumbers(left, right);
    return or_equal ? order <= 0 : order < 0;
  }
  if (left.is_string() && right.is_string()) {  // UTF-8 sorts as its code points do
    const int order = left.text().compare(right.text());
    return or_equal ? order <= 0 : order < 0;
  }
  if (!left.is_sequence() || left.kind() != right.kind()) return Unordered(left, right, op);
  const auto& a = left.items();
  const auto& b = right.items();
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, a[i], b[i]));
    if (!equal) return Ordered(runtime, a[i], b[i], or_equal, op);
  }
  return or_equal ? a.size() <= b.size() : a.size() < b.size();
}

}  // namespace

absl::StatusOr<bool> Equal(Runtime& runtime, const Value& left, const Value& right) {
  CHORUS_RETURN_IF_ERROR(runtime.Charge(1));
  if (left.is_number() && right.is_number()) return CompareNumbers(left, right) == 0;
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (left.text().size() != right.text().size()) return false;
      CHORUS_RETURN_IF_ERROR(runtime.Charge(static_cast<int64_t>(left.text().size() / 64)));
      return left.text() == right.text();
    case Kind::kList:
    case Kind::kTuple:
      return EqualItems(runtime, left.items(), right.items());
    case Kind::kDict:
      return EqualDicts(runtime, left.dict(), right.dict());
    case Kind::kRange:
      return EqualRanges(left.as<RangeObject>(), right.as<RangeObject>());
    case Kind::kFunction: {
      const auto& a = left.as<FunctionObject>();
      const auto& b = right.as<FunctionObject>();
      return a.call == b.call && a.name == b.name && a.self.object() == b.self.object();
    }
    default:
      return left.object() == right.object();
  }
}

absl::StatusOr<bool> Less(Runtime& runtime, const Value& left, const Value& right,
                          std::string_view op) {
  return Ordered(runtime, left, right, /*or_equal=*/false, op);
}

absl::StatusOr<bool> LessOrEqual(Runtime& runtime, const Value& left, const Value& right,
                                 std::string_view op) {
  return Ordered(runtime, left, right, /*or_equal=*/true, op);
}

absl::StatusOr<bool> Contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      return TypeError(Cat("'in <string>' requires string as left operand, not ", TypeName(item)));
    }
    CHORUS_RETURN_IF_ERROR(runtime.Charge(static_cast<int64_t>(container.text().size() / 64)));
    return container.text().find(item.text()) != std::string::npos;
  }
  const bool keys =
      container.is(Kind::kDict) ||
      (container.is(Kind::kView) && container.as<ViewObject>().part == ViewObject::Part::kKeys);
  if (keys) {
    if (!Hashable(item)) return TypeError(Cat("unhashable type: '", TypeName(item), "'"));
    const Value& dict = container.is(Kind::kDict) ? container : container.as<ViewObject>().dict;
    return dict.dict().Find(item) != nullptr;
  }
  if (!IsIterable(container)) {
    return TypeError(Cat("argument of type '", TypeName(container), "' is not iterable"));
  }
  bool found = false;
  CHORUS_RETURN_IF_ERROR(
      ForEach(runtime, container, [&](const Value& other) -> absl::StatusOr<bool> {
        CHORUS_ASSIGN_OR_RETURN(found, Equal(runtime, other, item));
        return !found;
      }));
  return found;
}

namespace {

// Merge sort that stops at the first comparison that fails. `order` sorts positions.
absl::Status MergeSort(Runtime& runtime, const std::vector<Value>& keys, bool reverse,
                       std::vector<size_t>* order) {
  std::vector<size_t> merged(order->size());
  for (size_t width = 1; width < order->size(); width *= 2) {
    for (size_t begin = 0; begin < order->size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order->size());
      const size_t end = std::min(begin + 2 * width, order->size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          CHORUS_RETURN_IF_ERROR(runtime.Charge(1));
          const Value& a = keys[(*order)[left]];
          const Value& b = keys[(*order)[right]];
          CHORUS_ASSIGN_OR_RETURN(take_right, reverse ? Less(runtime, a, b) : Less(runtime, b, a));
        }
        merged[out] = (*order)[take_right ? right++ : left++];
      }
    }
    order->swap(merged);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Value>> Sorted(
    Runtime& runtime, std::vector<Value> items, bool reverse,
    absl::FunctionRef<absl::StatusOr<Value>(const Value&)> key) {
  std::vector<Value> keys;
  std::vector<size_t> order;
  for (const Value& item : items) {
    CHORUS_ASSIGN_OR_RETURN(Value by, key(item));
    order.push_back(keys.size());
    keys.push_back(std::move(by));
  }
  CHORUS_RETURN_IF_ERROR(MergeSort(runtime, keys, reverse, &order));
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const size_t i : order) sorted.push_back(std::move(items[i]));
  return sorted;
}

absl::Status SortByKey(Runtime& runtime, std::vector<std::pair<Value, Value>>* entries) {
  std::vector<Value> keys;
  std::vector<size_t> order;
  for (const auto& entry : *entries) {
    order.push_back(keys.size());
    keys.push_back(entry.first);
  }
  CHORUS_RETURN_IF_ERROR(MergeSort(runtime, keys, /*reverse=*/false, &order));
  std::vector<std::pair<Value, Value>> sorted;
  for (const size_t i : order) sorted.push_back(std::move((*entries)[i]));
  entries->swap(sorted);
  return absl::OkStatus();
}

}  // namespace chorus::jinja
