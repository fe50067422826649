// What follows an operand: subscripts, calls, filters and tests.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/parser.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

absl::StatusOr<ExprPtr> Parser::Postfix(ExprPtr node) {
  while (true) {
    if (current().IsOperator(".") || current().IsOperator("[")) {
      CHORUS_ASSIGN_OR_RETURN(node, Subscript(std::move(node)));
    } else if (current().IsOperator("(")) {
      CHORUS_ASSIGN_OR_RETURN(node, Call(std::move(node)));
    } else {
      return node;
    }
  }
}

absl::StatusOr<ExprPtr> Parser::FilterExpression(ExprPtr node) {
  while (true) {
    if (current().IsOperator("|")) {
      CHORUS_ASSIGN_OR_RETURN(node, Filters(std::move(node), /*start_inline=*/false));
    } else if (current().IsName("is")) {
      CHORUS_ASSIGN_OR_RETURN(node, Test(std::move(node)));
    } else if (current().IsOperator("(")) {
      CHORUS_ASSIGN_OR_RETURN(node, Call(std::move(node)));
    } else {
      return node;
    }
  }
}

absl::StatusOr<ExprPtr> Parser::Subscript(ExprPtr object) {
  const int line = current().line;
  if (SkipOperator(".")) {
    const Token& token = current();
    ExprPtr node = Node(Op::kAttribute, line);
    node->args.push_back(std::move(object));
    if (token.Is(TokenType::kInteger)) {
      node->op = Op::kItem;
      node->args.push_back(Node(Op::kConst, token.line));
      node->args.back()->constant = Value::Int(token.integer);
    } else if (token.Is(TokenType::kName)) {
      node->name = token.text;
    } else {
      return Fail(token.Is(TokenType::kError) ? token.text : "expected name or number");
    }
    Next();
    return Finish(std::move(node));
  }
  CHORUS_RETURN_IF_ERROR(ExpectOperator("["));
  std::vector<ExprPtr> subscripts;
  while (!current().IsOperator("]")) {
    if (!subscripts.empty()) CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
    CHORUS_ASSIGN_OR_RETURN(ExprPtr subscript, Subscribed(std::move(object)));
    // A lone slice takes the object along; anything else gives it back.
    if (subscript->op == Op::kSlice) {
      if (!subscripts.empty() || !current().IsOperator("]")) {
        return Fail("a slice beside other subscripts is not supported");
      }
      Next();
      return Finish(std::move(subscript));
    }
    object = std::move(subscript->args[0]);
    subscripts.push_back(std::move(subscript->args[1]));
  }
  Next();
  ExprPtr index;
  if (subscripts.size() == 1) {
    index = std::move(subscripts.front());
  } else {
    index = Node(Op::kTuple, line);
    index->args = std::move(subscripts);
    CHORUS_ASSIGN_OR_RETURN(index, Finish(std::move(index)));
  }
  return Finish(Binary(Op::kItem, line, std::move(object), std::move(index)));
}

// One subscript of `object`: a kItem or a kSlice of it, not yet finished.
absl::StatusOr<ExprPtr> Parser::Subscribed(ExprPtr object) {
  const int line = current().line;
  ExprPtr start;
  if (!current().IsOperator(":")) {
    CHORUS_ASSIGN_OR_RETURN(start, Expression());
    if (!current().IsOperator(":")) {
      return Binary(Op::kItem, line, std::move(object), std::move(start));
    }
  }
  ExprPtr slice = Binary(Op::kSlice, line, std::move(object), std::move(start));
  while (slice->args.size() < 4) {
    ExprPtr bound;
    if (slice->args.size() == 2 || current().IsOperator(":")) {
      Next();  // the colon
      if (!current().IsOperator(":") && !current().IsOperator("]") && !current().IsOperator(",")) {
        CHORUS_ASSIGN_OR_RETURN(bound, Expression());
      }
    }
    slice->args.push_back(std::move(bound));
  }
  return slice;
}

absl::StatusOr<ExprPtr> Parser::Call(ExprPtr callee) {
  ExprPtr node = Node(Op::kCall, current().line);
  node->args.push_back(std::move(callee));
  CHORUS_RETURN_IF_ERROR(Arguments(node.get()));
  return Finish(std::move(node));
}

absl::Status Parser::Arguments(Expr* call) {
  const int line = current().line;
  const auto invalid = [&] { return Fail("invalid syntax for function call expression", line); };
  CHORUS_RETURN_IF_ERROR(ExpectOperator("("));
  ExprPtr star;
  ExprPtr double_star;
  bool first = true;
  while (!current().IsOperator(")")) {
    if (!first) {
      CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
      if (current().IsOperator(")")) break;
    }
    first = false;
    if (SkipOperator("*")) {
      if (star || double_star) return invalid();
      CHORUS_ASSIGN_OR_RETURN(star, Expression());
    } else if (SkipOperator("**")) {
      if (double_star) return invalid();
      CHORUS_ASSIGN_OR_RETURN(double_star, Expression());
    } else if (current().Is(TokenType::kName) && ahead().IsOperator("=")) {
      if (double_star) return invalid();
      const std::string keyword = current().text;
      if (std::find(call->keywords.begin(), call->keywords.end(), keyword) !=
          call->keywords.end()) {
        return Fail(Cat("keyword argument repeated: ", keyword));
      }
      Next();
      Next();
      CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Expression());
      call->keywords.push_back(keyword);
      call->args.push_back(std::move(value));
    } else {
      if (star || double_star || !call->keywords.empty()) return invalid();
      CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Expression());
      call->args.push_back(std::move(value));
    }
  }
  call->star = star != nullptr;
  call->double_star = double_star != nullptr;
  if (star) call->args.push_back(std::move(star));
  if (double_star) call->args.push_back(std::move(double_star));
  return ExpectOperator(")");
}

absl::StatusOr<std::string> Parser::DottedName() {
  std::string name = current().text;
  CHORUS_RETURN_IF_ERROR(Expect(TokenType::kName));
  while (SkipOperator(".")) {
    Append(&name, ".", current().text);
    CHORUS_RETURN_IF_ERROR(Expect(TokenType::kName));
  }
  return name;
}

absl::StatusOr<ExprPtr> Parser::Filters(ExprPtr node, bool start_inline) {
  while (start_inline || SkipOperator("|")) {
    start_inline = false;
    ExprPtr filter = Node(Op::kFilter, current().line);
    CHORUS_ASSIGN_OR_RETURN(filter->name, DottedName());
    filter->args.push_back(std::move(node));
    if (current().IsOperator("(")) CHORUS_RETURN_IF_ERROR(Arguments(filter.get()));
    CHORUS_ASSIGN_OR_RETURN(node, Finish(std::move(filter)));
  }
  return node;
}

absl::StatusOr<ExprPtr> Parser::Test(ExprPtr subject) {
  const int line = current().line;
  Next();
  const bool negated = SkipName("not");
  ExprPtr test = Node(Op::kTest, line);
  CHORUS_ASSIGN_OR_RETURN(test->name, DottedName());
  test->args.push_back(std::move(subject));
  const Token& token = current();
  if (token.IsOperator("(")) {
    CHORUS_RETURN_IF_ERROR(Arguments(test.get()));
  } else if ((token.Is(TokenType::kName) && token.text != "else" && token.text != "or" &&
              token.text != "and") ||
             token.Is(TokenType::kString) || token.Is(TokenType::kInteger) ||
             token.Is(TokenType::kFloat) || token.IsOperator("[") || token.IsOperator("{")) {
    if (token.IsName("is")) return Fail("You cannot chain multiple tests with is");
    CHORUS_ASSIGN_OR_RETURN(ExprPtr argument, Primary());
    CHORUS_ASSIGN_OR_RETURN(argument, Postfix(std::move(argument)));
    test->args.push_back(std::move(argument));
  }
  CHORUS_ASSIGN_OR_RETURN(test, Finish(std::move(test)));
  if (!negated) return test;
  ExprPtr node = Node(Op::kNot, line);
  node->args.push_back(std::move(test));
  return Finish(std::move(node));
}

}  // namespace chorus::jinja
