#include "engine/text/jinja/value.h"

#include <algorithm>

#include "engine/text/jinja/objects.h"
#include "engine/text/jinja/unicode.h"

namespace chorus::jinja {

Value Value::Bool(bool value) {
  Value result(Kind::kBool);
  result.scalar_.integer = value ? 1 : 0;
  return result;
}

Value Value::Int(int64_t value) {
  Value result(Kind::kInt);
  result.scalar_.integer = value;
  return result;
}

Value Value::Float(double value) {
  Value result(Kind::kFloat);
  result.scalar_.real = value;
  return result;
}

Value Value::String(std::string text, bool markup) {
  auto object = std::make_shared<StringObject>();
  object->length = CodePointCount(text);
  object->text = std::move(text);
  object->markup = markup;
  return Of(Kind::kString, std::move(object));
}

namespace {

Value Sequence(Kind kind, std::vector<Value> items) {
  auto object = std::make_shared<SequenceObject>();
  for (const Value& item : items) object->depth = std::max(object->depth, item.depth() + 1);
  object->items = std::move(items);
  return Value::Of(kind, std::move(object));
}

}  // namespace

Value Value::List(std::vector<Value> items) { return Sequence(Kind::kList, std::move(items)); }
Value Value::Tuple(std::vector<Value> items) { return Sequence(Kind::kTuple, std::move(items)); }

Value Value::Undefined(std::string why) {
  auto object = std::make_shared<UndefinedObject>();
  object->why = std::move(why);
  return Of(Kind::kUndefined, std::move(object));
}

double Value::number() const {
  return kind_ == Kind::kFloat ? scalar_.real : static_cast<double>(scalar_.integer);
}

const std::string& Value::text() const { return as<StringObject>().text; }
const StringObject& Value::string() const { return as<StringObject>(); }
const std::vector<Value>& Value::items() const { return as<SequenceObject>().items; }
const DictObject& Value::dict() const { return as<DictObject>(); }

std::string_view TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.string().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      switch (value.as<ViewObject>().part) {
        case ViewObject::Part::kKeys:
          return "dict_keys";
        case ViewObject::Part::kValues:
          return "dict_values";
        case ViewObject::Part::kItems:
          return "dict_items";
      }
      return "dict_keys";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kFunction:
      return "function";
    case Kind::kMacro:
      return "Macro";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

bool Truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.int_value() != 0;
    case Kind::kFloat:
      return value.float_value() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kView:
      return !value.as<ViewObject>().dict.dict().entries.empty();
    case Kind::kRange:
      return value.as<RangeObject>().length > 0;
    default:
      return true;
  }
}

}  // namespace chorus::jinja
