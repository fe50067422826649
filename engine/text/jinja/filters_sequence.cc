// Filters that take sequences apart and put them together.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

Result ListFilter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "list", {}, 0).status());
  CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, ToVector(runtime, self));
  return runtime.List(std::move(items));
}

Result First(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "first", {}, 0).status());
  Value first = Value::Undefined("No first item, sequence was empty.");
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    first = item;
    return false;
  }));
  return first;
}

absl::Status CheckReversible(const Value& value) {
  if (value.is(Kind::kIterator) || !IsIterable(value)) {
    return TypeError(Cat("'", TypeName(value), "' object is not reversible"));
  }
  return absl::OkStatus();
}

Result Last(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "last", {}, 0).status());
  CHORUS_RETURN_IF_ERROR(CheckReversible(self));
  if (self.is_sequence() && !self.items().empty()) return self.items().back();
  CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, ToVector(runtime, self));
  return items.empty() ? Value::Undefined("No last item, sequence was empty.") : items.back();
}

Result Reverse(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "reverse", {}, 0).status());
  if (self.is_string()) {
    std::vector<char32_t> codes = ToCodePoints(self.text());
    std::reverse(codes.begin(), codes.end());
    return runtime.String(FromCodePoints(codes), self.string().markup);
  }
  CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, ToVector(runtime, self));
  std::reverse(items.begin(), items.end());
  // A generator is read into a list first; everything else gives an iterator.
  if (self.is(Kind::kIterator)) return runtime.List(std::move(items));
  return MakeIterator(runtime, std::move(items));
}

Result Default(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, "default", {"default_value", "boolean"}, 0));
  if (!self.is_undefined() && !(TruthOr(args[1], false) && !Truth(self))) return self;
  return args[0].missing() ? Value::String("") : args[0];
}

Result Items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "items", {}, 0).status());
  if (self.is_undefined()) return MakeIterator(runtime, std::vector<Value>());
  if (!self.is(Kind::kDict)) return TypeError("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.dict().entries) {
    CHORUS_ASSIGN_OR_RETURN(Value pair, runtime.Tuple({key, value}));
    pairs.push_back(std::move(pair));
  }
  return MakeIterator(runtime, std::move(pairs));
}

Result Batch(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "batch", {"linecount", "fill_with"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const int64_t size, AsInt(args[0], "batch: linecount"));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> items, ToVector(runtime, self));
  std::vector<Value> rows;
  std::vector<Value> row;
  const auto finish_row = [&]() -> absl::Status {
    CHORUS_ASSIGN_OR_RETURN(Value list, runtime.List(std::exchange(row, {})));
    rows.push_back(std::move(list));
    return absl::OkStatus();
  };
  for (const Value& item : items) {
    if (static_cast<int64_t>(row.size()) == size) CHORUS_RETURN_IF_ERROR(finish_row());
    row.push_back(item);
  }
  if (!row.empty()) {
    if (!args[1].missing() && !args[1].is_none() && static_cast<int64_t>(row.size()) < size) {
      int64_t bytes = 0;
      if (__builtin_mul_overflow(size, static_cast<int64_t>(sizeof(Value)), &bytes)) {
        bytes = INT64_MAX;
      }
      CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(bytes));
      row.resize(static_cast<size_t>(size), args[1]);
    }
    CHORUS_RETURN_IF_ERROR(finish_row());
  }
  return MakeIterator(runtime, std::move(rows));
}

Result SliceFilter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "slice", {"slices", "fill_with"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const int64_t slices, AsInt(args[0], "slice: slices"));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> items, ToVector(runtime, self));
  if (slices == 0) return TypeError("integer division or modulo by zero");
  const auto length = static_cast<int64_t>(items.size());
  const int64_t extra = slices > 0 ? length % slices : 0;
  std::vector<Value> columns;
  auto at = items.begin();
  for (int64_t i = 0; i < slices; ++i) {
    CHORUS_RETURN_IF_ERROR(runtime.Charge(1));
    const auto end = at + length / slices + (i < extra ? 1 : 0);
    std::vector<Value> column(at, end);
    at = end;
    if (!args[1].missing() && !args[1].is_none() && i >= extra) column.push_back(args[1]);
    CHORUS_ASSIGN_OR_RETURN(Value list, runtime.List(std::move(column)));
    columns.push_back(std::move(list));
  }
  return MakeIterator(runtime, std::move(columns));
}

Result Attr(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "attr", {"name"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string_view name, AsString(args[0], "attr: name"));
  if (self.is_undefined()) return TypeErrorFor(self, "");
  CHORUS_ASSIGN_OR_RETURN(Value value, FindAttribute(runtime, self, name));
  if (!value.missing()) return value;
  return Value::Undefined(Cat("'", TypeName(self), " object' has no attribute '", name, "'"));
}

constexpr NamedFunction kFilters[] = {
    {"attr", Attr},       {"batch", Generator<Batch>},       {"d", Default}, {"default", Default},
    {"first", First},     {"items", Generator<Items>},       {"last", Last}, {"list", ListFilter},
    {"reverse", Reverse}, {"slice", Generator<SliceFilter>},
};

}  // namespace

NativeFunction FindSequenceFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace chorus::jinja
