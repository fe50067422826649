// The methods of dict, list, tuple and range that change nothing, of `loop` and of cycler.
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/compare.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/iteration.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

template <ViewObject::Part part>
Result View(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.empty()) return TypeError("dict.items() and its like take no arguments");
  CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(sizeof(ViewObject)));
  CHORUS_RETURN_IF_ERROR(runtime.CheckDepth(self.depth() + 1));
  auto view = std::make_shared<ViewObject>();
  view->dict = self;
  view->part = part;
  view->depth = self.depth() + 1;
  return Value::Of(Kind::kView, std::move(view));
}

Result Get(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "get", {"", ""}, 1));
  if (!Hashable(args[0])) {
    return TypeError(Cat("unhashable type: '", TypeName(args[0]), "'"));
  }
  if (const Value* found = self.dict().Find(args[0])) return *found;
  return args[1].missing() ? Value::None() : args[1];
}

Result Copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.empty()) return TypeError("copy() takes no arguments");
  if (self.is(Kind::kDict)) return runtime.Dict(std::make_shared<DictObject>(self.dict()));
  return runtime.List(self.items());
}

Result FromKeys(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "fromkeys", {"", ""}, 1));
  auto dict = std::make_shared<DictObject>();
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, args[0], [&](const Value& key) -> absl::StatusOr<bool> {
    if (!Hashable(key)) return TypeError(Cat("unhashable type: '", TypeName(key), "'"));
    dict->Set(key, args[1].missing() ? Value::None() : args[1]);
    return true;
  }));
  return runtime.Dict(std::move(dict));
}

Result Index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "index", {"", "", ""}, 1));
  CHORUS_ASSIGN_OR_RETURN(const int64_t length, Length(self));
  CHORUS_ASSIGN_OR_RETURN(int64_t start, IntOr(args[1], 0, "start"));
  CHORUS_ASSIGN_OR_RETURN(int64_t stop, IntOr(args[2], length, "stop"));
  if (start < 0) start += length;
  if (stop < 0) stop += length;
  int64_t at = 0;
  int64_t found = -1;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    if (at >= start && at < stop) {
      CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, item, args[0]));
      if (equal) found = at;
    }
    ++at;
    return found < 0;
  }));
  if (found < 0) return TypeError(Cat("value is not in ", TypeName(self)));
  return Value::Int(found);
}

Result Count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "count", {""}, 1));
  int64_t count = 0;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, item, args[0]));
    count += equal ? 1 : 0;
    return true;
  }));
  return Value::Int(count);
}

Result LoopCycle(Runtime&, const Value& self, const Arguments& arguments) {
  if (!arguments.keyword.empty()) return TypeError("cycle() takes no keyword arguments");
  if (arguments.positional.empty()) return TypeError("no items for cycling given");
  const auto index = static_cast<size_t>(self.as<LoopObject>().index0);
  return arguments.positional[index % arguments.positional.size()];
}

Result LoopChanged(Runtime& runtime, const Value& self, const Arguments& arguments) {
  auto& loop = self.as<LoopObject>();
  CHORUS_ASSIGN_OR_RETURN(const Value now, runtime.Tuple(arguments.positional));
  if (!loop.last_changed.missing()) {
    CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, loop.last_changed, now));
    if (equal) return Value::Bool(false);
  }
  if (!loop.closed) loop.last_changed = now;
  return Value::Bool(true);
}

Result CyclerNext(Runtime&, const Value& self, const Arguments&) {
  auto& cycler = self.as<CyclerObject>();
  const Value item = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return item;
}

Result CyclerReset(Runtime&, const Value& self, const Arguments&) {
  self.as<CyclerObject>().position = 0;
  return Value::None();
}

constexpr NamedFunction kDictMethods[] = {
    {"copy", Copy},
    {"fromkeys", FromKeys},
    {"get", Get},
    {"items", View<ViewObject::Part::kItems>},
    {"keys", View<ViewObject::Part::kKeys>},
    {"values", View<ViewObject::Part::kValues>},
};
constexpr NamedFunction kSequenceMethods[] = {{"copy", Copy}, {"count", Count}, {"index", Index}};
constexpr NamedFunction kLoopMethods[] = {{"changed", LoopChanged}, {"cycle", LoopCycle}};
constexpr NamedFunction kCyclerMethods[] = {{"next", CyclerNext}, {"reset", CyclerReset}};

}  // namespace

NativeFunction FindDictMethod(std::string_view name) { return FindIn(kDictMethods, name); }
NativeFunction FindSequenceMethod(std::string_view name) { return FindIn(kSequenceMethods, name); }
NativeFunction FindLoopMethod(std::string_view name) { return FindIn(kLoopMethods, name); }
NativeFunction FindCyclerMethod(std::string_view name) { return FindIn(kCyclerMethods, name); }

}  // namespace chorus::jinja
