#include "engine/text/jinja/iteration.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

// Reads item number `*at` of a value that is not an iterator; `*at` counts items, for strings
// bytes.
absl::StatusOr<bool> Step(Runtime& runtime, const Value& value, size_t* at, Value* item) {
  switch (value.kind()) {
    case Kind::kString: {
      const std::string& text = value.text();
      if (*at >= text.size()) return false;
      const size_t start = *at;
      Decode(text, at);
      CHORUS_ASSIGN_OR_RETURN(*item, runtime.String(text.substr(start, *at - start)));
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (*at >= value.items().size()) return false;
      *item = value.items()[(*at)++];
      return true;
    case Kind::kDict:
      if (*at >= value.dict().entries.size()) return false;
      *item = value.dict().entries[(*at)++].first;
      return true;
    case Kind::kView: {
      const auto& view = value.as<ViewObject>();
      if (*at >= view.dict.dict().entries.size()) return false;
      CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(sizeof(SequenceObject)));
      *item = view.At((*at)++);
      return true;
    }
    case Kind::kRange: {
      const auto& range = value.as<RangeObject>();
      if (*at >= static_cast<size_t>(range.length)) return false;
      *item = Value::Int(range.At(static_cast<int64_t>((*at)++)));
      return true;
    }
    case Kind::kMissing:
    case Kind::kUndefined:
      return false;
    default:
      return TypeError(Cat("'", TypeName(value), "' object is not iterable"));
  }
}

}  // namespace

bool IsIterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
    case Kind::kIterator:
    case Kind::kUndefined:
      return true;
    default:
      return false;
  }
}

absl::Status ForEach(Runtime& runtime, const Value& value,
                     absl::FunctionRef<absl::StatusOr<bool>(const Value&)> visit) {
  size_t at = 0;
  while (true) {
    CHORUS_RETURN_IF_ERROR(runtime.Charge(1));
    Value item;
    CHORUS_ASSIGN_OR_RETURN(const bool some, value.is(Kind::kIterator)
                                                 ? Next(runtime, value, &item)
                                                 : Step(runtime, value, &at, &item));
    if (!some) return absl::OkStatus();
    CHORUS_ASSIGN_OR_RETURN(const bool more, visit(item));
    if (!more) return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<Value>> ToVector(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) {
    CHORUS_RETURN_IF_ERROR(runtime.Charge(static_cast<int64_t>(value.items().size())));
    return value.items();
  }
  std::vector<Value> items;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, value, [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(sizeof(Value)));
    items.push_back(item);
    return true;
  }));
  return items;
}

absl::StatusOr<Value> MakeIterator(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kIterator)) return value;
  if (!IsIterable(value)) {
    return TypeError(Cat("'", TypeName(value), "' object is not iterable"));
  }
  return runtime.Iterator(
      [value, at = size_t{0}](Runtime& r, Value* item) mutable {
        return Step(r, value, &at, item);
      },
      value.depth());
}

absl::StatusOr<Value> MakeIterator(Runtime& runtime, std::vector<Value> items) {
  CHORUS_ASSIGN_OR_RETURN(const Value list, runtime.List(std::move(items)));
  return MakeIterator(runtime, list);
}

absl::StatusOr<Value> MakeGenerator(Runtime& runtime, NativeFunction filter, const Value& subject,
                                    const Arguments& arguments) {
  int depth = subject.depth();
  for (const Value& value : arguments.positional) depth = std::max(depth, value.depth());
  for (const auto& [name, value] : arguments.keyword) depth = std::max(depth, value.depth());
  const auto next = [filter, subject, arguments, items = Value()](
                        Runtime& r, Value* item) mutable -> absl::StatusOr<bool> {
    if (items.missing()) {
      CHORUS_ASSIGN_OR_RETURN(items, filter(r, subject, arguments));
    }
    return Next(r, items, item);
  };
  return runtime.Iterator(next, depth);
}

absl::StatusOr<bool> Next(Runtime& runtime, const Value& iterator, Value* item) {
  const Runtime::Nesting nesting(&runtime);
  CHORUS_RETURN_IF_ERROR(nesting.Check());
  CHORUS_RETURN_IF_ERROR(runtime.Charge(1));
  CHORUS_ASSIGN_OR_RETURN(const bool some, iterator.as<IteratorObject>().next(runtime, item));
  if (!some) *item = Value();  // a generator that drops items may have left one there
  return some;
}

absl::StatusOr<int64_t> Length(const Value& value) {
  switch (value.kind()) {
    case Kind::kString:
      return value.string().length;
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kView:
      return static_cast<int64_t>(value.as<ViewObject>().dict.dict().entries.size());
    case Kind::kRange:
      return value.as<RangeObject>().length;
    case Kind::kUndefined:
      return 0;
    default:
      return TypeError(Cat("object of type '", TypeName(value), "' has no len()"));
  }
}

}  // namespace chorus::jinja
