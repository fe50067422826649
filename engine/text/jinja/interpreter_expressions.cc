#include <algorithm>
#include <memory>
#include <utility>

#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/compare.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/text_form.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

absl::StatusOr<Value> Interpreter::Evaluate(const Expr& expr, Frame& frame) {
  if (expr.op == Op::kConst) return expr.constant;
  const Nesting nesting(this);
  line_ = expr.line;
  CHORUS_RETURN_IF_ERROR(nesting.Check());
  CHORUS_RETURN_IF_ERROR(Charge(1));
  return EvaluateNode(expr, frame);
}

absl::StatusOr<Value> Interpreter::EvaluateNode(const Expr& expr, Frame& frame) {
  switch (expr.op) {
    case Op::kConst:
      return expr.constant;
    case Op::kName:
      return EvaluateName(expr, frame);
    case Op::kTuple: {
      CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, EvaluateAll(expr, frame));
      return Tuple(std::move(items));
    }
    case Op::kList: {
      CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, EvaluateAll(expr, frame));
      return List(std::move(items));
    }
    case Op::kDict:
      return EvaluateDict(expr, frame);
    case Op::kCond: {
      CHORUS_ASSIGN_OR_RETURN(const Value condition, Evaluate(*expr.args[1], frame));
      if (Truth(condition)) return Evaluate(*expr.args[0], frame);
      if (expr.args[2]) return Evaluate(*expr.args[2], frame);
      return Value::Undefined(Cat("the inline if-expression on line ", expr.line,
                                  " evaluated to false and no else section was defined."));
    }
    case Op::kOr:
    case Op::kAnd: {
      CHORUS_ASSIGN_OR_RETURN(Value left, Evaluate(*expr.args[0], frame));
      if (Truth(left) == (expr.op == Op::kOr)) return left;
      return Evaluate(*expr.args[1], frame);
    }
    case Op::kNot: {
      CHORUS_ASSIGN_OR_RETURN(const Value operand, Evaluate(*expr.args[0], frame));
      return Value::Bool(!Truth(operand));
    }
    case Op::kNegative:
    case Op::kPositive: {
      CHORUS_ASSIGN_OR_RETURN(const Value operand, Evaluate(*expr.args[0], frame));
      return expr.op == Op::kNegative ? Negative(operand) : Positive(operand);
    }
    case Op::kCompare:
      return EvaluateCompare(expr, frame);
    case Op::kConcat:
      return EvaluateConcat(expr, frame);
    case Op::kAttribute: {
      CHORUS_ASSIGN_OR_RETURN(const Value object, Evaluate(*expr.args[0], frame));
      return GetAttribute(*this, object, expr.name);
    }
    case Op::kItem: {
      CHORUS_ASSIGN_OR_RETURN(const Value object, Evaluate(*expr.args[0], frame));
      CHORUS_ASSIGN_OR_RETURN(const Value key, Evaluate(*expr.args[1], frame));
      return GetItem(*this, object, key);
    }
    case Op::kSlice:
      return EvaluateSlice(expr, frame);
    case Op::kCall:
      return EvaluateCall(expr, frame, nullptr);
    case Op::kFilter:
      return EvaluateFilter(expr, frame, nullptr);
    case Op::kTest: {
      CHORUS_ASSIGN_OR_RETURN(const Value subject, Evaluate(*expr.args[0], frame));
      CHORUS_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expr, frame));
      if (expr.function == nullptr) {
        return TypeError(Cat("No test named '", expr.name, "' found."));
      }
      return expr.function(*this, subject, arguments);
    }
    default: {
      CHORUS_ASSIGN_OR_RETURN(const Value left, Evaluate(*expr.args[0], frame));
      CHORUS_ASSIGN_OR_RETURN(const Value right, Evaluate(*expr.args[1], frame));
      line_ = expr.line;
      return Arithmetic(*this, expr.op, left, right);
    }
  }
}

absl::StatusOr<Value> Interpreter::EvaluateName(const Expr& expr, Frame& frame) {
  const Value& value = At(frame, expr.slot.hops).slots[static_cast<size_t>(expr.slot.index)];
  if (!value.missing()) return value;
  return Value::Undefined(Cat("'", expr.name, "' is undefined"));
}

absl::StatusOr<std::vector<Value>> Interpreter::EvaluateAll(const Expr& expr, Frame& frame) {
  std::vector<Value> values;
  values.reserve(expr.args.size());
  for (const ExprPtr& arg : expr.args) {
    CHORUS_ASSIGN_OR_RETURN(Value value, Evaluate(*arg, frame));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<Value> Interpreter::EvaluateDict(const Expr& expr, Frame& frame) {
  auto dict = std::make_shared<DictObject>();
  for (size_t i = 0; i < expr.args.size(); i += 2) {
    CHORUS_ASSIGN_OR_RETURN(Value key, Evaluate(*expr.args[i], frame));
    CHORUS_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.args[i + 1], frame));
    if (!Hashable(key)) return TypeError(Cat("unhashable type: '", TypeName(key), "'"));
    dict->Set(std::move(key), std::move(value));
  }
  return Dict(std::move(dict));
}

absl::StatusOr<bool> Interpreter::Compare(Comparison comparison, const Value& left,
                                          const Value& right) {
  switch (comparison) {
    case Comparison::kEq:
      return Equal(*this, left, right);
    case Comparison::kNe: {
      CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(*this, left, right));
      return !equal;
    }
    case Comparison::kLt:
      return Less(*this, left, right);
    case Comparison::kLe:
      return LessOrEqual(*this, left, right);
    case Comparison::kGt:
      return Less(*this, right, left, ">");
    case Comparison::kGe:
      return LessOrEqual(*this, right, left, ">=");
    case Comparison::kIn:
      return Contains(*this, right, left);
    case Comparison::kNotIn:
      break;
  }
  CHORUS_ASSIGN_OR_RETURN(const bool in, Contains(*this, right, left));
  return !in;
}

// a < b < c is a < b and b < c, with b evaluated once.
absl::StatusOr<Value> Interpreter::EvaluateCompare(const Expr& expr, Frame& frame) {
  CHORUS_ASSIGN_OR_RETURN(Value left, Evaluate(*expr.args[0], frame));
  for (size_t i = 0; i < expr.compares.size(); ++i) {
    CHORUS_ASSIGN_OR_RETURN(Value right, Evaluate(*expr.args[i + 1], frame));
    line_ = expr.line;
    CHORUS_ASSIGN_OR_RETURN(const bool holds, Compare(expr.compares[i], left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

absl::StatusOr<Value> Interpreter::EvaluateConcat(const Expr& expr, Frame& frame) {
  CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> parts, EvaluateAll(expr, frame));
  std::string text;
  for (const Value& part : parts) {
    CHORUS_ASSIGN_OR_RETURN(const std::string shown, Str(*this, part));
    text += shown;
  }
  return String(std::move(text));
}

absl::StatusOr<Value> Interpreter::EvaluateSlice(const Expr& expr, Frame& frame) {
  Value parts[4];
  for (size_t i = 0; i < 4; ++i) {
    if (!expr.args[i]) continue;
    CHORUS_ASSIGN_OR_RETURN(parts[i], Evaluate(*expr.args[i], frame));
  }
  return Slice(*this, parts[0], parts[1], parts[2], parts[3]);
}

absl::Status Interpreter::AddKeyword(std::string_view name, Value value, Arguments* arguments) {
  for (const auto& [given, other] : arguments->keyword) {
    if (given == name) {
      return TypeError(Cat("got multiple values for keyword argument '", name, "'"));
    }
  }
  arguments->keyword.emplace_back(std::string(name), std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Arguments> Interpreter::EvaluateArguments(const Expr& expr, Frame& frame) {
  Arguments arguments;
  size_t at = 1;
  for (size_t i = 0; i < expr.num_positional(); ++i) {
    CHORUS_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.args[at++], frame));
    arguments.positional.push_back(std::move(value));
  }
  for (const std::string& name : expr.keywords) {
    CHORUS_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.args[at++], frame));
    arguments.keyword.emplace_back(name, std::move(value));
  }
  if (expr.star) {
    CHORUS_ASSIGN_OR_RETURN(const Value more, Evaluate(*expr.args[at++], frame));
    CHORUS_RETURN_IF_ERROR(ForEach(*this, more, [&](const Value& value) -> absl::StatusOr<bool> {
      CHORUS_RETURN_IF_ERROR(ChargeBytes(sizeof(Value)));
      arguments.positional.push_back(value);
      return true;
    }));
  }
  if (expr.double_star) {
    CHORUS_ASSIGN_OR_RETURN(const Value more, Evaluate(*expr.args[at++], frame));
    if (!more.is(Kind::kDict)) return TypeErrorFor(more, "argument after ** must be a mapping");
    for (const auto& [key, value] : more.dict().entries) {
      if (!key.is_string()) return TypeError("keywords must be strings");
      CHORUS_RETURN_IF_ERROR(Charge(1 + static_cast<int64_t>(arguments.keyword.size())));
      CHORUS_RETURN_IF_ERROR(AddKeyword(key.text(), value, &arguments));
    }
  }
  return arguments;
}

absl::StatusOr<Value> Interpreter::EvaluateCall(const Expr& expr, Frame& frame,
                                                const Value* caller) {
  CHORUS_ASSIGN_OR_RETURN(const Value callee, Evaluate(*expr.args[0], frame));
  CHORUS_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expr, frame));
  if (caller != nullptr) CHORUS_RETURN_IF_ERROR(AddKeyword("caller", *caller, &arguments));
  line_ = expr.line;
  return Call(callee, arguments);
}

// `block_text`: what a filter without a subject works on.
absl::StatusOr<Value> Interpreter::EvaluateFilter(const Expr& expr, Frame& frame,
                                                  const Value* block_text) {
  Value subject;
  if (expr.args[0] == nullptr) {
    subject = block_text != nullptr ? *block_text : Value::String("");
  } else if (block_text != nullptr) {  // further filters of the block's chain
    CHORUS_ASSIGN_OR_RETURN(subject, EvaluateFilter(*expr.args[0], frame, block_text));
  } else {
    CHORUS_ASSIGN_OR_RETURN(subject, Evaluate(*expr.args[0], frame));
  }
  CHORUS_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expr, frame));
  line_ = expr.line;
  if (expr.function == nullptr) {
    return TypeError(Cat("No filter named '", expr.name, "' found."));
  }
  return expr.function(*this, subject, arguments);
}

}  // namespace chorus::jinja
