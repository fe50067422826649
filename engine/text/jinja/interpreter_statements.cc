#include <algorithm>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/text_form.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

Interpreter::Interpreter(const Program& program, const Value& context,
                         const Template::Environment& environment)
    : Runtime(program.limits, environment), program_(program), context_(context) {}

// Frames may hold each other through macros' arguments: emptied while all of them still exist.
Interpreter::~Interpreter() {
  for (Frame& frame : frames_) frame.slots.clear();
}

absl::StatusOr<std::string> Interpreter::Run() {
  std::string out;
  out_ = &out;
  Frame* const frame = Enter(program_.scope, nullptr);
  const absl::Status status = Execute(program_.body, *frame).status();
  if (!status.ok()) {
    return absl::Status(status.code(), Cat("line ", line_, ": ", std::string(status.message())));
  }
  return out;
}

Frame* Interpreter::Enter(const Scope& scope, Frame* parent) {
  Frame* frame;
  if (free_frames_.empty()) {
    frame = &frames_.emplace_back();
  } else {
    frame = free_frames_.back();
    free_frames_.pop_back();
  }
  frame->parent = parent;
  frame->captured = false;
  FillSlots(scope, frame);
  return frame;
}

void Interpreter::FillSlots(const Scope& scope, Frame* frame) {
  frame->slots.assign(static_cast<size_t>(scope.num_slots), Value());
  for (const Load& load : scope.loads) {
    Value& slot = frame->slots[static_cast<size_t>(load.index)];
    if (load.from == Load::From::kOuter) {
      slot = At(*frame, load.outer.hops).slots[static_cast<size_t>(load.outer.index)];
    } else if (load.from == Load::From::kContext) {
      const Value* found = context_.dict().Find(load.name);
      slot = found != nullptr ? *found : FindGlobal(load.name);
    }
  }
}

void Interpreter::Leave(Frame* frame) {
  if (frame->captured) return;
  frame->slots.clear();
  free_frames_.push_back(frame);
}

Frame& Interpreter::At(Frame& frame, int hops) {
  Frame* at = &frame;
  for (; hops > 0; --hops) at = at->parent;
  return *at;
}

absl::Status Interpreter::Write(std::string_view text) {
  if (static_cast<int64_t>(out_->size() + text.size()) > limits().max_output_bytes) {
    return absl::ResourceExhaustedError(
        Cat("output exceeds ", limits().max_output_bytes, " bytes"));
  }
  CHORUS_RETURN_IF_ERROR(ChargeBytes(static_cast<int64_t>(text.size())));
  out_->append(text);
  return absl::OkStatus();
}

absl::Status Interpreter::WriteValue(const Value& value) {
  if (value.is_string()) return Write(value.text());
  CHORUS_ASSIGN_OR_RETURN(const std::string text, Str(*this, value));
  return Write(text);
}

absl::StatusOr<Interpreter::Flow> Interpreter::Execute(const Block& block, Frame& frame) {
  const Nesting nesting(this);
  CHORUS_RETURN_IF_ERROR(nesting.Check());
  for (const auto& stmt : block) {
    line_ = stmt->line;
    CHORUS_RETURN_IF_ERROR(Charge(1));
    CHORUS_ASSIGN_OR_RETURN(const Flow flow, Execute(*stmt, frame));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Interpreter::Flow> Interpreter::Execute(const Stmt& stmt, Frame& frame) {
  if (const auto* text = std::get_if<Text>(&stmt.node)) {
    CHORUS_RETURN_IF_ERROR(Write(text->data));
  } else if (const auto* print = std::get_if<Print>(&stmt.node)) {
    for (const ExprPtr& expr : print->values) {
      CHORUS_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr, frame));
      CHORUS_RETURN_IF_ERROR(WriteValue(value));
    }
  } else if (const auto* set = std::get_if<Set>(&stmt.node)) {
    CHORUS_RETURN_IF_ERROR(CheckNamespaces(*set->target, frame));
    CHORUS_ASSIGN_OR_RETURN(const Value value, Evaluate(*set->value, frame));
    CHORUS_RETURN_IF_ERROR(Assign(*set->target, value, frame));
  } else if (const auto* branch = std::get_if<If>(&stmt.node)) {
    return ExecuteIf(*branch, frame);
  } else if (const auto* loop = std::get_if<For>(&stmt.node)) {
    return ExecuteFor(*loop, frame);
  } else if (const auto* set_block = std::get_if<SetBlock>(&stmt.node)) {
    return ExecuteSetBlock(*set_block, frame);
  } else if (const auto* macro = std::get_if<Macro>(&stmt.node)) {
    frame.slots[static_cast<size_t>(macro->slot.index)] = MakeMacro(*macro->def, frame);
  } else if (const auto* call = std::get_if<CallBlock>(&stmt.node)) {
    CHORUS_RETURN_IF_ERROR(ExecuteCallBlock(*call, frame));
  } else if (const auto* filter = std::get_if<FilterBlock>(&stmt.node)) {
    return ExecuteFilterBlock(*filter, frame);
  } else if (const auto* with = std::get_if<With>(&stmt.node)) {
    return ExecuteWith(*with, frame);
  } else if (const auto* generation = std::get_if<Generation>(&stmt.node)) {
    return ExecuteInner(generation->body, generation->scope, frame);
  } else if (std::holds_alternative<Break>(stmt.node)) {
    return Flow::kBreak;
  } else if (std::holds_alternative<Continue>(stmt.node)) {
    return Flow::kContinue;
  }
  return Flow::kNext;
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteIf(const If& node, Frame& frame) {
  for (const auto& [condition, body] : node.branches) {
    CHORUS_ASSIGN_OR_RETURN(const Value value, Evaluate(*condition, frame));
    if (Truth(value)) return Execute(body, frame);
  }
  return Execute(node.otherwise, frame);
}

// The items that pass the loop's own condition, as a generator.
absl::StatusOr<Value> Interpreter::Filtered(const For& node, Value iterable, Frame& frame) {
  CHORUS_ASSIGN_OR_RETURN(const Value source, MakeIterator(*this, iterable));
  const auto next = [this, &node, source, &frame](Runtime& runtime,
                                                  Value* item) -> absl::StatusOr<bool> {
    while (true) {
      CHORUS_ASSIGN_OR_RETURN(const bool some, Next(runtime, source, item));
      if (!some) return false;
      Frame* const inner = Enter(node.test_scope, &frame);
      const absl::Cleanup leave = [this, inner] { Leave(inner); };
      CHORUS_RETURN_IF_ERROR(Assign(*node.test_target, *item, *inner));
      CHORUS_ASSIGN_OR_RETURN(const Value passes, Evaluate(*node.test, *inner));
      if (Truth(passes)) return true;
    }
  };
  return Iterator(next, source.depth());
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteFor(const For& node, Frame& frame) {
  CHORUS_ASSIGN_OR_RETURN(Value iterable, Evaluate(*node.iterable, frame));
  CHORUS_RETURN_IF_ERROR(ChargeBytes(FrameBytes(node.body_scope) + sizeof(LoopObject)));
  auto loop = std::make_shared<LoopObject>();
  const absl::Cleanup close = [&loop] { loop->Close(); };
  if (node.test) {
    CHORUS_ASSIGN_OR_RETURN(iterable, Filtered(node, std::move(iterable), frame));
  }
  CHORUS_ASSIGN_OR_RETURN(loop->iterator, MakeIterator(*this, iterable));
  loop->iterable = std::move(iterable);
  bool completed = false;  // some round ran to its end
  CHORUS_ASSIGN_OR_RETURN(const Flow flow, ExecuteLoop(node, loop, frame, &completed));
  if (flow != Flow::kNext || completed) return flow;
  return ExecuteInner(node.otherwise, node.otherwise_scope, frame);
}

// As in jinja2, a round that breaks off does not count: the else part may still run after it.
absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteLoop(const For& node,
                                                           const std::shared_ptr<LoopObject>& loop,
                                                           Frame& frame, bool* completed) {
  Frame* const inner = Enter(node.body_scope, &frame);
  const absl::Cleanup leave = [this, inner] { Leave(inner); };
  const Value loop_value = Value::Of(Kind::kLoop, loop);
  while (true) {
    Value item;
    CHORUS_ASSIGN_OR_RETURN(const bool some, loop->Next(*this, &item));
    if (!some) return Flow::kNext;
    FillSlots(node.body_scope, inner);
    if (node.loop_slot >= 0) inner->slots[static_cast<size_t>(node.loop_slot)] = loop_value;
    CHORUS_RETURN_IF_ERROR(Assign(*node.target, item, *inner));
    CHORUS_ASSIGN_OR_RETURN(const Flow flow, Execute(node.body, *inner));
    if (flow == Flow::kBreak) return Flow::kNext;
    *completed = *completed || flow == Flow::kNext;
  }
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteInner(const Block& block, const Scope& scope,
                                                            Frame& frame) {
  if (block.empty()) return Flow::kNext;
  Frame* const inner = Enter(scope, &frame);
  const absl::Cleanup leave = [this, inner] { Leave(inner); };
  return Execute(block, *inner);
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteSetBlock(const SetBlock& node, Frame& frame) {
  CHORUS_RETURN_IF_ERROR(CheckNamespaces(*node.target, frame));
  Frame* const inner = Enter(node.scope, &frame);
  const absl::Cleanup leave = [this, inner] { Leave(inner); };
  Flow flow = Flow::kNext;
  CHORUS_ASSIGN_OR_RETURN(std::string text, Capture([&]() -> absl::Status {
                            CHORUS_ASSIGN_OR_RETURN(flow, Execute(node.body, *inner));
                            return absl::OkStatus();
                          }));
  if (flow != Flow::kNext) return flow;
  Value value = Value::String(std::move(text));
  if (node.filter) {
    CHORUS_ASSIGN_OR_RETURN(value, EvaluateFilter(*node.filter, *inner, &value));
  }
  CHORUS_RETURN_IF_ERROR(Assign(*node.target, value, frame));
  return Flow::kNext;
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteFilterBlock(const FilterBlock& node,
                                                                  Frame& frame) {
  Frame* const inner = Enter(node.scope, &frame);
  const absl::Cleanup leave = [this, inner] { Leave(inner); };
  Flow flow = Flow::kNext;
  CHORUS_ASSIGN_OR_RETURN(std::string text, Capture([&]() -> absl::Status {
                            CHORUS_ASSIGN_OR_RETURN(flow, Execute(node.body, *inner));
                            return absl::OkStatus();
                          }));
  if (flow != Flow::kNext) return flow;
  Value value = Value::String(std::move(text));
  CHORUS_ASSIGN_OR_RETURN(value, EvaluateFilter(*node.filter, *inner, &value));
  CHORUS_RETURN_IF_ERROR(WriteValue(value));
  return Flow::kNext;
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteWith(const With& node, Frame& frame) {
  Frame* const inner = Enter(node.scope, &frame);
  const absl::Cleanup leave = [this, inner] { Leave(inner); };
  for (size_t i = 0; i < node.targets.size(); ++i) {
    CHORUS_ASSIGN_OR_RETURN(const Value value, Evaluate(*node.values[i], frame));
    CHORUS_RETURN_IF_ERROR(Assign(*node.targets[i], value, *inner));
  }
  return Execute(node.body, *inner);
}

absl::Status Interpreter::ExecuteCallBlock(const CallBlock& node, Frame& frame) {
  const Value caller = MakeMacro(*node.caller, frame);
  CHORUS_ASSIGN_OR_RETURN(const Value value, EvaluateCall(*node.call, frame, &caller));
  return WriteValue(value);
}

Value Interpreter::MakeMacro(const MacroDef& def, Frame& frame) {
  auto macro = std::make_shared<MacroObject>();
  macro->def = &def;
  macro->closure = &frame;
  for (Frame* at = &frame; at != nullptr && !at->captured; at = at->parent) at->captured = true;
  return Value::Of(Kind::kMacro, std::move(macro));
}

absl::Status Interpreter::CheckNamespaces(const Expr& target, Frame& frame) {
  if (target.op == Op::kNamespaceRef) {
    const Value& holder = At(frame, target.slot.hops).slots[static_cast<size_t>(target.slot.index)];
    if (!holder.is(Kind::kNamespace)) {
      return TypeError("cannot assign attribute on non-namespace object");
    }
    if (target.attribute.starts_with("_")) {
      return TypeError(Cat("a namespace cannot store '", target.attribute,
                           "': its name starts with an underscore"));
    }
  }
  for (const ExprPtr& item : target.args) CHORUS_RETURN_IF_ERROR(CheckNamespaces(*item, frame));
  return absl::OkStatus();
}

absl::Status Interpreter::Assign(const Expr& target, const Value& value, Frame& frame) {
  if (target.op == Op::kName) {
    frame.slots[static_cast<size_t>(target.slot.index)] = value;
    return absl::OkStatus();
  }
  if (target.op == Op::kNamespaceRef) {
    const Value& holder = At(frame, target.slot.hops).slots[static_cast<size_t>(target.slot.index)];
    if (!holder.is(Kind::kNamespace)) {
      return TypeError("cannot assign attribute on non-namespace object");
    }
    holder.as<NamespaceObject>().Set(target.attribute, value);
    return ChargeBytes(sizeof(Value));
  }
  if (!IsIterable(value)) {
    return TypeErrorFor(value, Cat("cannot unpack non-iterable ", TypeName(value), " object"));
  }
  CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> items, ToVector(*this, value));
  if (items.size() != target.args.size()) {
    return TypeError(Cat(items.size() < target.args.size() ? "not enough" : "too many",
                         " values to unpack (expected ", target.args.size(), ", got ", items.size(),
                         ")"));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    CHORUS_RETURN_IF_ERROR(Assign(*target.args[i], items[i], frame));
  }
  return absl::OkStatus();
}

}  // namespace chorus::jinja
