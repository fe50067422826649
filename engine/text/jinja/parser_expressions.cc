#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/parser.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

ExprPtr Parser::Node(Op op, int line) {
  auto node = std::make_unique<Expr>();
  node->op = op;
  node->line = line;
  return node;
}

ExprPtr Parser::Binary(Op op, int line, ExprPtr left, ExprPtr right) {
  ExprPtr node = Node(op, line);
  node->args.push_back(std::move(left));
  node->args.push_back(std::move(right));
  return node;
}

absl::StatusOr<ExprPtr> Parser::Finish(ExprPtr node) {
  for (const ExprPtr& arg : node->args) {
    if (arg) node->depth = std::max(node->depth, arg->depth + 1);
  }
  if (node->depth > limits_.max_parse_depth) {
    return Fail("expression is nested too deeply", node->line);
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::Expression(bool with_condition) {
  if (depth_ >= limits_.max_parse_depth) return Fail("expression is nested too deeply");
  ++depth_;
  const absl::Cleanup leave = [this] { --depth_; };
  return with_condition ? Condition() : Or();
}

// In a chain of operators each stands on its own line, which is where the next token begins, as
// jinja2 counts.
absl::StatusOr<ExprPtr> Parser::Condition() {
  int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr node, Or());
  while (SkipName("if")) {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr condition, Or());
    ExprPtr otherwise;
    if (SkipName("else")) {
      CHORUS_ASSIGN_OR_RETURN(otherwise, Expression());
    }
    ExprPtr whole = Binary(Op::kCond, line, std::move(node), std::move(condition));
    whole->args.push_back(std::move(otherwise));
    CHORUS_ASSIGN_OR_RETURN(node, Finish(std::move(whole)));
    line = current().line;
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::Or() {
  int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr node, And());
  while (SkipName("or")) {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr right, And());
    CHORUS_ASSIGN_OR_RETURN(node, Finish(Binary(Op::kOr, line, std::move(node), std::move(right))));
    line = current().line;
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::And() {
  int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr node, Not());
  while (SkipName("and")) {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr right, Not());
    CHORUS_ASSIGN_OR_RETURN(node,
                            Finish(Binary(Op::kAnd, line, std::move(node), std::move(right))));
    line = current().line;
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::Not() {
  const int line = current().line;
  if (!SkipName("not")) return Compare();
  if (depth_ >= limits_.max_parse_depth) return Fail("expression is nested too deeply");
  ++depth_;
  const absl::Cleanup leave = [this] { --depth_; };
  CHORUS_ASSIGN_OR_RETURN(ExprPtr operand, Not());
  ExprPtr node = Node(Op::kNot, line);
  node->args.push_back(std::move(operand));
  return Finish(std::move(node));
}

absl::StatusOr<ExprPtr> Parser::Compare() {
  static constexpr std::pair<std::string_view, Comparison> kOperators[] = {
      {"==", Comparison::kEq}, {"!=", Comparison::kNe}, {"<", Comparison::kLt},
      {"<=", Comparison::kLe}, {">", Comparison::kGt},  {">=", Comparison::kGe}};
  const int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr first, Sum());
  ExprPtr node = Node(Op::kCompare, line);
  node->args.push_back(std::move(first));
  while (true) {
    const size_t before = node->compares.size();
    for (const auto& [text, comparison] : kOperators) {
      if (SkipOperator(text)) {
        node->compares.push_back(comparison);
        break;
      }
    }
    if (node->compares.size() == before) {
      if (SkipName("in")) {
        node->compares.push_back(Comparison::kIn);
      } else if (current().IsName("not") && ahead().IsName("in")) {
        Next();
        Next();
        node->compares.push_back(Comparison::kNotIn);
      } else {
        break;
      }
    }
    CHORUS_ASSIGN_OR_RETURN(ExprPtr operand, Sum());
    node->args.push_back(std::move(operand));
    node->line = current().line;
  }
  if (node->compares.empty()) return std::move(node->args.front());
  return Finish(std::move(node));
}

absl::StatusOr<ExprPtr> Parser::Sum() {
  int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr node, Concat());
  while (current().IsOperator("+") || current().IsOperator("-")) {
    const Op op = current().IsOperator("+") ? Op::kAdd : Op::kSub;
    Next();
    CHORUS_ASSIGN_OR_RETURN(ExprPtr right, Concat());
    CHORUS_ASSIGN_OR_RETURN(node, Finish(Binary(op, line, std::move(node), std::move(right))));
    line = current().line;
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::Concat() {
  const int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr first, Product());
  if (!current().IsOperator("~")) return first;
  ExprPtr node = Node(Op::kConcat, line);
  node->args.push_back(std::move(first));
  while (SkipOperator("~")) {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr part, Product());
    node->args.push_back(std::move(part));
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExprPtr> Parser::Product() {
  static constexpr std::pair<std::string_view, Op> kOperators[] = {
      {"*", Op::kMul}, {"/", Op::kDiv}, {"//", Op::kFloorDiv}, {"%", Op::kMod}};
  int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr node, Power());
  while (true) {
    const auto* const found =
        std::find_if(std::begin(kOperators), std::end(kOperators),
                     [this](const auto& entry) { return current().IsOperator(entry.first); });
    if (found == std::end(kOperators)) return node;
    Next();
    CHORUS_ASSIGN_OR_RETURN(ExprPtr right, Power());
    CHORUS_ASSIGN_OR_RETURN(node,
                            Finish(Binary(found->second, line, std::move(node), std::move(right))));
    line = current().line;
  }
}

absl::StatusOr<ExprPtr> Parser::Power() {
  int line = current().line;
  CHORUS_ASSIGN_OR_RETURN(ExprPtr node, Unary());
  while (SkipOperator("**")) {  // to the left, unlike Python's
    CHORUS_ASSIGN_OR_RETURN(ExprPtr right, Unary());
    CHORUS_ASSIGN_OR_RETURN(node,
                            Finish(Binary(Op::kPow, line, std::move(node), std::move(right))));
    line = current().line;
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::Unary(bool with_filter) {
  if (depth_ >= limits_.max_parse_depth) return Fail("expression is nested too deeply");
  ++depth_;
  const absl::Cleanup leave = [this] { --depth_; };
  const int line = current().line;
  ExprPtr node;
  if (current().IsOperator("-") || current().IsOperator("+")) {
    node = Node(current().IsOperator("-") ? Op::kNegative : Op::kPositive, line);
    Next();
    CHORUS_ASSIGN_OR_RETURN(ExprPtr operand, Unary(/*with_filter=*/false));
    node->args.push_back(std::move(operand));
    CHORUS_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  } else {
    CHORUS_ASSIGN_OR_RETURN(node, Primary());
  }
  CHORUS_ASSIGN_OR_RETURN(node, Postfix(std::move(node)));
  return with_filter ? FilterExpression(std::move(node)) : std::move(node);
}

absl::StatusOr<ExprPtr> Parser::Primary(bool with_namespace) {
  const Token& token = current();
  if (token.Is(TokenType::kName)) return NameOrConstant(with_namespace);
  if (token.IsOperator("[")) return ListLiteral();
  if (token.IsOperator("{")) return DictLiteral();
  if (SkipOperator("(")) {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr inner, Tuple({.parentheses = true}));
    CHORUS_RETURN_IF_ERROR(ExpectOperator(")"));
    return inner;
  }
  ExprPtr node = Node(Op::kConst, token.line);
  switch (token.type) {
    case TokenType::kString: {
      std::string text;  // neighbouring strings are one
      for (; current().Is(TokenType::kString); Next()) text += current().text;
      node->constant = Value::String(std::move(text));
      return node;
    }
    case TokenType::kInteger:
      node->constant = Value::Int(token.integer);
      break;
    case TokenType::kFloat:
      node->constant = Value::Float(token.real);
      break;
    case TokenType::kError:
      return Fail(token.text);
    default:
      return Fail(Cat("unexpected '", Describe(token), "'"));
  }
  Next();
  return node;
}

absl::StatusOr<ExprPtr> Parser::NameOrConstant(bool with_namespace) {
  const std::string name = current().text;
  ExprPtr node = Node(Op::kConst, current().line);
  Next();
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    node->constant = Value::Bool(name == "true" || name == "True");
  } else if (name == "none" || name == "None") {
    node->constant = Value::None();
  } else {
    node->op = Op::kName;
    node->name = name;
    if (with_namespace && SkipOperator(".")) {
      node->op = Op::kNamespaceRef;
      node->attribute = current().text;
      CHORUS_RETURN_IF_ERROR(Expect(TokenType::kName));
    }
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::ListLiteral() {
  ExprPtr node = Node(Op::kList, current().line);
  CHORUS_RETURN_IF_ERROR(ExpectOperator("["));
  while (!current().IsOperator("]")) {
    if (!node->args.empty()) {
      CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
      if (current().IsOperator("]")) break;
    }
    CHORUS_ASSIGN_OR_RETURN(ExprPtr item, Expression());
    node->args.push_back(std::move(item));
  }
  CHORUS_RETURN_IF_ERROR(ExpectOperator("]"));
  return Finish(std::move(node));
}

absl::StatusOr<ExprPtr> Parser::DictLiteral() {
  ExprPtr node = Node(Op::kDict, current().line);
  CHORUS_RETURN_IF_ERROR(ExpectOperator("{"));
  while (!current().IsOperator("}")) {
    if (!node->args.empty()) {
      CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
      if (current().IsOperator("}")) break;
    }
    CHORUS_ASSIGN_OR_RETURN(ExprPtr key, Expression());
    CHORUS_RETURN_IF_ERROR(ExpectOperator(":"));
    CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Expression());
    node->args.push_back(std::move(key));
    node->args.push_back(std::move(value));
  }
  CHORUS_RETURN_IF_ERROR(ExpectOperator("}"));
  return Finish(std::move(node));
}

bool Parser::AtTupleEnd(std::string_view end_name) const {
  return current().Is(TokenType::kVariableEnd) || current().Is(TokenType::kBlockEnd) ||
         current().IsOperator(")") || (!end_name.empty() && current().IsName(end_name));
}

absl::StatusOr<ExprPtr> Parser::Tuple(const TupleOptions& options) {
  ExprPtr tuple = Node(Op::kTuple, current().line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->args.empty()) CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
    if (AtTupleEnd(options.end_name)) break;
    CHORUS_ASSIGN_OR_RETURN(ExprPtr item, options.targets ? Primary(options.with_namespace)
                                                          : Expression(options.with_condition));
    tuple->args.push_back(std::move(item));
    if (!current().IsOperator(",")) break;
    is_tuple = true;
    tuple->line = current().line;
  }
  if (!is_tuple) {
    if (!tuple->args.empty()) return std::move(tuple->args.front());
    if (!options.parentheses) {
      return Fail(Cat("Expected an expression, got '", Describe(current()), "'"));
    }
  }
  return Finish(std::move(tuple));
}

}  // namespace chorus::jinja
