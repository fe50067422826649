#include "engine/text/jinja/runtime.h"

#include <algorithm>

#include "engine/text/jinja/concat.h"

namespace chorus::jinja {

Runtime::~Runtime() {
  for (const auto& space : namespaces_) space->attributes.clear();
}

absl::Status Runtime::Charge(int64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.max_steps) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      Cat("template runs longer than ", limits_.max_steps, " steps"));
}

absl::Status Runtime::ChargeBytes(int64_t bytes) {
  // Compared first: a caller may ask for more than fits the sum.
  if (bytes <= limits_.max_created_bytes) {
    created_bytes_ += bytes;
    if (created_bytes_ <= limits_.max_created_bytes) return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      Cat("template makes more than ", limits_.max_created_bytes, " bytes of values"));
}

absl::Status Runtime::CheckDepth(int depth) const {
  if (depth <= limits_.max_value_depth) return absl::OkStatus();
  return absl::ResourceExhaustedError(Cat("values nest deeper than ", limits_.max_value_depth));
}

absl::Status Runtime::Nesting::Check() const {
  if (runtime_->depth_ <= runtime_->limits_.max_call_depth) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      Cat("calls nest deeper than ", runtime_->limits_.max_call_depth));
}

absl::StatusOr<Value> Runtime::String(std::string text, bool markup) {
  if (absl::Status s = ChargeBytes(static_cast<int64_t>(text.size() + sizeof(StringObject)));
      !s.ok()) {
    return s;
  }
  return Value::String(std::move(text), markup);
}

absl::StatusOr<Value> Runtime::List(std::vector<Value> items) {
  const int64_t bytes = static_cast<int64_t>(items.size() * sizeof(Value) + sizeof(SequenceObject));
  if (absl::Status s = ChargeBytes(bytes); !s.ok()) return s;
  Value list = Value::List(std::move(items));
  if (absl::Status s = CheckDepth(list.depth()); !s.ok()) return s;
  return list;
}

absl::StatusOr<Value> Runtime::Tuple(std::vector<Value> items) {
  const int64_t bytes = static_cast<int64_t>(items.size() * sizeof(Value) + sizeof(SequenceObject));
  if (absl::Status s = ChargeBytes(bytes); !s.ok()) return s;
  Value tuple = Value::Tuple(std::move(items));
  if (absl::Status s = CheckDepth(tuple.depth()); !s.ok()) return s;
  return tuple;
}

absl::StatusOr<Value> Runtime::Dict(std::shared_ptr<DictObject> dict) {
  const int64_t bytes =
      static_cast<int64_t>(dict->entries.size() * 4 * sizeof(Value) + sizeof(DictObject));
  if (absl::Status s = ChargeBytes(bytes); !s.ok()) return s;
  if (absl::Status s = CheckDepth(dict->depth); !s.ok()) return s;
  return Value::Of(Kind::kDict, std::move(dict));
}

absl::StatusOr<Value> Runtime::Iterator(decltype(IteratorObject::next) next, int source_depth) {
  if (absl::Status s = ChargeBytes(sizeof(IteratorObject) + 64); !s.ok()) return s;
  if (absl::Status s = CheckDepth(source_depth + 1); !s.ok()) return s;
  auto iterator = std::make_shared<IteratorObject>();
  iterator->next = std::move(next);
  iterator->depth = source_depth + 1;
  return Value::Of(Kind::kIterator, std::move(iterator));
}

absl::StatusOr<Value> Runtime::Function(std::string name, NativeFunction call, Value self) {
  if (absl::Status s = ChargeBytes(sizeof(FunctionObject)); !s.ok()) return s;
  auto function = std::make_shared<FunctionObject>();
  function->name = std::move(name);
  function->call = call;
  function->depth = self.depth() + 1;
  function->self = std::move(self);
  if (absl::Status s = CheckDepth(function->depth); !s.ok()) return s;
  return Value::Of(Kind::kFunction, std::move(function));
}

absl::StatusOr<Value> Runtime::Namespace() {
  if (absl::Status s = ChargeBytes(sizeof(NamespaceObject) + 64); !s.ok()) return s;
  namespaces_.push_back(std::make_shared<NamespaceObject>());
  return Value::Of(Kind::kNamespace, namespaces_.back());
}

absl::StatusOr<Value> Runtime::Call(const Value& callee, const Arguments& arguments) {
  const Nesting nesting(this);
  if (absl::Status s = nesting.Check(); !s.ok()) return s;
  if (absl::Status s = Charge(1); !s.ok()) return s;
  switch (callee.kind()) {
    case Kind::kFunction: {
      const auto& function = callee.as<FunctionObject>();
      return function.call(*this, function.self, arguments);
    }
    case Kind::kMacro:
      return CallMacro(callee.as<MacroObject>(), arguments);
    case Kind::kJoiner: {
      if (!arguments.empty()) return TypeError("joiner takes no arguments");
      auto& joiner = callee.as<JoinerObject>();
      if (std::exchange(joiner.used, true)) return joiner.separator;
      return Value::String("");
    }
    default:
      return TypeErrorFor(callee, Cat("'", TypeName(callee), "' object is not callable"));
  }
}

}  // namespace chorus::jinja
