#include "engine/text/jinja/attributes.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/text_form.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Methods that would change the object: the immutable sandbox hides them.
bool Mutates(const Value& object, std::string_view name) {
  if (object.is(Kind::kDict)) {
    return IsOneOf(name, {"clear", "pop", "popitem", "setdefault", "update"});
  }
  return object.is(Kind::kList) &&
         IsOneOf(name, {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"});
}

Value Unsafe(const Value& object, std::string_view name) {
  return Value::Undefined(
      Cat("access to attribute '", name, "' of '", TypeName(object), "' object is unsafe."));
}

absl::StatusOr<Value> LoopAttribute(Runtime& runtime, LoopObject& loop, const Value& object,
                                    std::string_view name) {
  if (name == "index") return Value::Int(loop.index0 + 1);
  if (name == "index0") return Value::Int(loop.index0);
  if (name == "first") return Value::Bool(loop.index0 == 0);
  if (name == "depth") return Value::Int(1);
  if (name == "depth0") return Value::Int(0);
  if (name == "last") {
    CHORUS_ASSIGN_OR_RETURN(const Value ahead, loop.Peek(runtime));
    return Value::Bool(ahead.missing());
  }
  if (name == "nextitem") {
    CHORUS_ASSIGN_OR_RETURN(Value ahead, loop.Peek(runtime));
    return ahead.missing() ? Value::Undefined("there is no next item") : ahead;
  }
  if (name == "previtem") {
    return loop.index0 == 0 ? Value::Undefined("there is no previous item") : loop.previous;
  }
  if (IsOneOf(name, {"length", "revindex", "revindex0"})) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t length, loop.Length(runtime));
    const int64_t passed = name == "revindex" ? loop.index0 : loop.index0 + 1;
    return Value::Int(name == "length" ? length : length - passed);
  }
  const NativeFunction method = FindLoopMethod(name);
  if (method == nullptr) return Value();
  return runtime.Function(std::string(name), method, object);
}

Value MacroAttribute(const MacroDef& def, std::string_view name) {
  if (name == "name") return def.name.empty() ? Value::None() : Value::String(def.name);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const std::string& parameter : def.parameters) names.push_back(Value::String(parameter));
    return Value::Tuple(std::move(names));
  }
  if (name == "catch_kwargs") return Value::Bool(def.kwargs_slot >= 0);
  if (name == "catch_varargs") return Value::Bool(def.varargs_slot >= 0);
  if (name == "caller") return Value::Bool(def.caller_slot >= 0);
  return Value();
}

Value NumberAttribute(const Value& number, std::string_view name) {
  if (IsOneOf(name, {"real", "numerator"}) && number.is_integral()) {
    return Value::Int(number.int_value());
  }
  if (name == "denominator" && number.is_integral()) return Value::Int(1);
  if (name == "real") return number;
  if (name == "imag") return number.is_integral() ? Value::Int(0) : Value::Float(0);
  return Value();
}

Value RangeAttribute(const RangeObject& range, std::string_view name) {
  if (name == "start") return Value::Int(range.start);
  if (name == "stop") return Value::Int(range.stop);
  if (name == "step") return Value::Int(range.step);
  return Value();
}

NativeFunction FindMethod(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      return FindStringMethod(name);
    case Kind::kDict:
      return FindDictMethod(name);
    case Kind::kList:
      return FindSequenceMethod(name);
    case Kind::kTuple:
    case Kind::kRange:
      return name == "copy" ? nullptr : FindSequenceMethod(name);
    case Kind::kCycler:
      return FindCyclerMethod(name);
    case Kind::kFunction:
      return name == "fromkeys" && object.as<FunctionObject>().name == "dict" ? FindDictMethod(name)
                                                                              : nullptr;
    default:
      return nullptr;
  }
}

absl::StatusOr<Value> UndefinedItem(Runtime& runtime, const Value& object, const Value& key) {
  const std::string type = object.is_none() ? "None" : Cat(TypeName(object), " object");
  if (key.is_string()) {
    return Value::Undefined(Cat("'", type, "' has no attribute '", key.text(), "'"));
  }
  CHORUS_ASSIGN_OR_RETURN(const std::string shown, Repr(runtime, key));
  return Value::Undefined(Cat(type, " has no element ", shown));
}

// object[key]; missing when there is none or the object has no items.
absl::StatusOr<Value> FindItem(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    const Value* found = object.dict().Find(key);
    return found != nullptr ? *found : Value();
  }
  if (!key.is_integral()) return Value();
  int64_t index = key.int_value();
  const auto within = [&index](int64_t length) {
    if (index < 0) index += length;
    return index >= 0 && index < length;
  };
  if (object.is_sequence()) {
    if (!within(static_cast<int64_t>(object.items().size()))) return Value();
    return object.items()[static_cast<size_t>(index)];
  }
  if (object.is(Kind::kRange)) {
    const auto& range = object.as<RangeObject>();
    return within(range.length) ? Value::Int(range.At(index)) : Value();
  }
  if (object.is_string()) {
    const StringObject& string = object.string();
    if (!within(string.length)) return Value();
    if (!string.ascii()) {
      CHORUS_RETURN_IF_ERROR(runtime.Charge(static_cast<int64_t>(string.text.size() / 64)));
    }
    return runtime.String(std::string(CharacterAt(string, index)), string.markup);
  }
  return Value();
}

}  // namespace

absl::StatusOr<Value> FindAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is(Kind::kNamespace)) {
    const Value* found = object.as<NamespaceObject>().Find(name);
    return found != nullptr ? *found : Value();
  }
  if (Mutates(object, name)) return Unsafe(object, name);
  if (const NativeFunction method = FindMethod(object, name); method != nullptr) {
    return runtime.Function(std::string(name), method, object);
  }
  switch (object.kind()) {
    case Kind::kTuple:
      if (!object.as<SequenceObject>().group) return Value();
      return name == "grouper" ? object.items()[0] : name == "list" ? object.items()[1] : Value();
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return NumberAttribute(object, name);
    case Kind::kRange:
      return RangeAttribute(object.as<RangeObject>(), name);
    case Kind::kMacro:
      return MacroAttribute(*object.as<MacroObject>().def, name);
    case Kind::kLoop:
      return LoopAttribute(runtime, object.as<LoopObject>(), object, name);
    case Kind::kCycler: {
      const auto& cycler = object.as<CyclerObject>();
      return name == "current" ? cycler.items[cycler.position] : Value();
    }
    default:
      return Value();
  }
}

absl::StatusOr<Value> GetAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) return TypeErrorFor(object, "");
  CHORUS_ASSIGN_OR_RETURN(Value value, FindAttribute(runtime, object, name));
  if (!value.missing()) return value;
  // Only a dict has items with names.
  if (object.is(Kind::kDict)) {
    if (const Value* found = object.dict().Find(name)) return *found;
  }
  return UndefinedItem(runtime, object, Value::String(std::string(name)));
}

absl::StatusOr<Value> GetItem(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) return TypeErrorFor(object, "");
  CHORUS_ASSIGN_OR_RETURN(Value value, FindItem(runtime, object, key));
  if (value.missing() && key.is_string()) {
    CHORUS_ASSIGN_OR_RETURN(value, FindAttribute(runtime, object, key.text()));
  }
  if (!value.missing()) return value;
  return UndefinedItem(runtime, object, key);
}

}  // namespace chorus::jinja
