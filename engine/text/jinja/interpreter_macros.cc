#include <algorithm>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/interpreter.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

absl::StatusOr<Value> Interpreter::CallMacro(const MacroObject& macro, const Arguments& arguments) {
  const MacroDef& def = *macro.def;
  CHORUS_RETURN_IF_ERROR(ChargeBytes(FrameBytes(def.scope)));
  Frame* const frame = Enter(def.scope, macro.closure);
  const absl::Cleanup leave = [this, frame] { Leave(frame); };
  const int line = line_;
  CHORUS_RETURN_IF_ERROR(BindMacro(def, arguments, *frame));
  CHORUS_ASSIGN_OR_RETURN(std::string text,
                          Capture([&] { return Execute(def.body, *frame).status(); }));
  line_ = line;
  return String(std::move(text));
}

// Positional arguments first, then keywords, then defaults; what is left over goes to `varargs` and
// `kwargs` where the macro reads them.
absl::Status Interpreter::BindMacro(const MacroDef& def, const Arguments& arguments, Frame& frame) {
  const size_t count = def.parameters.size();
  auto keyword = arguments.keyword;
  const auto take = [&keyword](std::string_view name) {
    const auto found = std::find_if(keyword.begin(), keyword.end(),
                                    [name](const auto& entry) { return entry.first == name; });
    if (found == keyword.end()) return Value();
    Value value = std::move(found->second);
    keyword.erase(found);
    return value;
  };
  const auto slot = [&frame](int index) -> Value& {
    return frame.slots[static_cast<size_t>(index)];
  };
  for (size_t i = 0; i < count; ++i) {
    slot(def.parameter_slots[i]) =
        i < arguments.positional.size() ? arguments.positional[i] : take(def.parameters[i]);
  }
  if (def.caller_slot >= 0) {
    Value caller = take("caller");
    slot(def.caller_slot) = caller.missing() || caller.is_none()
                                ? Value::Undefined("No caller defined")
                                : std::move(caller);
  }
  if (def.kwargs_slot >= 0) {
    auto dict = std::make_shared<DictObject>();
    for (auto& [name, value] : keyword) dict->Set(Value::String(name), std::move(value));
    CHORUS_ASSIGN_OR_RETURN(slot(def.kwargs_slot), Dict(std::move(dict)));
  } else if (!keyword.empty()) {
    return TypeError(
        Cat("macro '", def.name, "' takes no keyword argument '", keyword.front().first, "'"));
  }
  if (def.varargs_slot >= 0) {
    const size_t used = std::min(count, arguments.positional.size());
    std::vector<Value> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                            arguments.positional.end());
    CHORUS_ASSIGN_OR_RETURN(slot(def.varargs_slot), Tuple(std::move(rest)));
  } else if (arguments.positional.size() > count) {
    return TypeError(Cat("macro '", def.name, "' takes not more than ", count, " argument(s)"));
  }
  const size_t required = count - def.defaults.size();
  for (size_t i = 0; i < count; ++i) {
    Value& parameter = slot(def.parameter_slots[i]);
    if (!parameter.missing()) continue;
    if (i < required) {
      parameter = Value::Undefined(Cat("parameter '", def.parameters[i], "' was not provided"));
    } else {
      CHORUS_ASSIGN_OR_RETURN(Value value, Evaluate(*def.defaults[i - required], frame));
      slot(def.parameter_slots[i]) = std::move(value);
    }
  }
  return absl::OkStatus();
}

}  // namespace chorus::jinja
