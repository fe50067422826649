// The global functions: Jinja's range, dict, namespace, cycler and joiner, and transformers'
// raise_exception and strftime_now.
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/text_form.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

constexpr int64_t kMaxRange = 100'000;  // as the sandbox has it

Result Range(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "range", {"", "", ""}, 1));
  auto range = std::make_shared<RangeObject>();
  if (args[1].missing()) {
    CHORUS_ASSIGN_OR_RETURN(range->stop, AsInt(args[0], "range: stop"));
  } else {
    CHORUS_ASSIGN_OR_RETURN(range->start, AsInt(args[0], "range: start"));
    CHORUS_ASSIGN_OR_RETURN(range->stop, AsInt(args[1], "range: stop"));
    CHORUS_ASSIGN_OR_RETURN(range->step, IntOr(args[2], 1, "range: step"));
  }
  if (range->step == 0) return TypeError("range() arg 3 must not be zero");
  const bool up = range->step > 0;
  if (up ? range->start < range->stop : range->stop < range->start) {
    // In unsigned arithmetic the span and the step cannot overflow.
    const auto low = static_cast<uint64_t>(up ? range->start : range->stop);
    const auto high = static_cast<uint64_t>(up ? range->stop : range->start);
    const uint64_t step =
        up ? static_cast<uint64_t>(range->step) : uint64_t{0} - static_cast<uint64_t>(range->step);
    const uint64_t length = (high - low - 1) / step + 1;
    if (length > static_cast<uint64_t>(kMaxRange)) {
      return TypeError(Cat("Range too big: ", length, " items, at most ", kMaxRange));
    }
    range->length = static_cast<int64_t>(length);
  }
  CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(sizeof(RangeObject)));
  return Value::Of(Kind::kRange, std::move(range));
}

// The dict that dict(mapping or pairs, **more) makes.
absl::StatusOr<std::shared_ptr<DictObject>> BuildDict(Runtime& runtime,
                                                      const Arguments& arguments) {
  if (arguments.positional.size() > 1) return TypeError("dict expected at most 1 argument");
  auto dict = std::make_shared<DictObject>();
  for (const Value& source : arguments.positional) {
    if (source.is(Kind::kDict)) {
      *dict = source.dict();
      continue;
    }
    CHORUS_RETURN_IF_ERROR(ForEach(runtime, source, [&](const Value& item) -> absl::StatusOr<bool> {
      CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> pair, ToVector(runtime, item));
      if (pair.size() != 2) return TypeError("dictionary update sequence elements must be pairs");
      if (!Hashable(pair[0])) {
        return TypeError(Cat("unhashable type: '", TypeName(pair[0]), "'"));
      }
      CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(4 * sizeof(Value)));
      dict->Set(pair[0], pair[1]);
      return true;
    }));
  }
  for (const auto& [name, value] : arguments.keyword) dict->Set(Value::String(name), value);
  return dict;
}

Result Dict(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(auto dict, BuildDict(runtime, arguments));
  return runtime.Dict(std::move(dict));
}

Result MakeNamespace(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto dict, BuildDict(runtime, arguments));
  CHORUS_ASSIGN_OR_RETURN(Value space, runtime.Namespace());
  for (const auto& [name, value] : dict->entries) {
    if (!name.is_string()) continue;  // no attribute could reach it
    if (name.text().starts_with("_")) {
      return TypeError(
          Cat("a namespace cannot store '", name.text(), "': its name starts with an underscore"));
    }
    space.as<NamespaceObject>().Set(name.text(), value);
  }
  return space;
}

Result MakeCycler(Runtime& runtime, const Value&, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.keyword.empty()) {
    return TypeError("cycler: at least one item has to be provided");
  }
  CHORUS_ASSIGN_OR_RETURN(const Value items, runtime.List(arguments.positional));
  auto cycler = std::make_shared<CyclerObject>();
  cycler->items = items.items();
  cycler->depth = items.depth();
  return Value::Of(Kind::kCycler, std::move(cycler));
}

Result MakeJoiner(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "joiner", {"sep"}, 0));
  CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(sizeof(JoinerObject)));
  auto joiner = std::make_shared<JoinerObject>();
  joiner->separator = args[0].missing() ? Value::String(", ") : args[0];
  joiner->depth = joiner->separator.depth() + 1;
  CHORUS_RETURN_IF_ERROR(runtime.CheckDepth(joiner->depth));
  return Value::Of(Kind::kJoiner, std::move(joiner));
}

Result RaiseException(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "raise_exception", {"message"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string message, Str(runtime, args[0]));
  return TypeError(message);
}

// datetime.now().strftime(format): the C library's, with Python's microseconds, and without a zone.
Result StrftimeNow(Runtime& runtime, const Value&, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "strftime_now", {"format"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string_view format, AsString(args[0], "strftime_now: format"));
  if (format.size() > 4096) return TypeError("strftime_now: format is longer than 4096 bytes");
  const auto& environment = runtime.environment();
  const absl::Time now = environment.now ? environment.now() : absl::Now();
  const std::tm parts = absl::ToTM(now, environment.zone);
  std::string plain;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    const char directive = c == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (directive == 'f') {
      const int64_t micros =
          absl::ToInt64Microseconds(now - absl::FromUnixSeconds(absl::ToUnixSeconds(now)));
      char digits[8];
      std::snprintf(digits, sizeof(digits), "%06d", static_cast<int>(micros));
      plain += digits;
    } else if (directive == 's') {
      Append(&plain, absl::ToUnixSeconds(now));
    } else if (directive != 'z' && directive != 'Z') {
      plain += c == '\0' ? ' ' : c;
      if (directive != '\0') plain += directive;
    }
    if (directive != '\0') ++i;
  }
  if (plain.empty()) return Value::String("");
  // strftime answers 0 both for too little room and for no text: the mark tells them apart.
  plain += '.';
  std::string text(plain.size() * 32 + 256, '\0');
  text.resize(std::strftime(text.data(), text.size(), plain.c_str(), &parts));
  if (!text.empty()) text.pop_back();
  return runtime.String(std::move(text));
}

constexpr NamedFunction kGlobals[] = {
    {"cycler", MakeCycler},
    {"dict", Dict},
    {"joiner", MakeJoiner},
    {"namespace", MakeNamespace},
    {"raise_exception", RaiseException},
    {"range", Range},
    {"strftime_now", StrftimeNow},
};

}  // namespace

Value FindGlobal(std::string_view name) {
  const NativeFunction call = FindIn(kGlobals, name);
  if (call == nullptr) return Value();
  auto function = std::make_shared<FunctionObject>();
  function->name = std::string(name);
  function->call = call;
  return Value::Of(Kind::kFunction, std::move(function));
}

}  // namespace chorus::jinja
