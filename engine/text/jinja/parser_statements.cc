#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/parser.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

Parser::Parser(std::string_view source, const Limits& limits)
    : limits_(limits), tokens_(Tokenize(source)) {}

absl::StatusOr<Block> Parser::Parse() { return Statements({}); }

bool Parser::SkipName(std::string_view name) {
  if (!current().IsName(name)) return false;
  Next();
  return true;
}

bool Parser::SkipOperator(std::string_view op) {
  if (!current().IsOperator(op)) return false;
  Next();
  return true;
}

absl::Status Parser::Fail(std::string_view message, int line) const {
  return absl::InvalidArgumentError(Cat("line ", line, ": ", message));
}

absl::Status Parser::Unexpected(std::string_view expected) const {
  if (current().Is(TokenType::kError)) return Fail(current().text);
  if (current().Is(TokenType::kEnd)) {
    return Fail(Cat("unexpected end of template, expected '", expected, "'"));
  }
  return Fail(Cat("expected token '", expected, "', got '", Describe(current()), "'"));
}

absl::Status Parser::Expect(TokenType type) {
  if (!current().Is(type)) {
    return Unexpected(type == TokenType::kName ? "name" : Describe(Token{.type = type}));
  }
  Next();
  return absl::OkStatus();
}

absl::Status Parser::ExpectOperator(std::string_view op) {
  return SkipOperator(op) ? absl::OkStatus() : Unexpected(op);
}

absl::Status Parser::ExpectName(std::string_view name) {
  return SkipName(name) ? absl::OkStatus() : Unexpected(name);
}

std::string Parser::LookingFor() const {
  std::string text;
  if (!end_names_.empty() && !end_names_.back().empty()) {
    text = " Looking for";
    for (const std::string& name : end_names_.back()) Append(&text, " '", name, "'");
    text += '.';
  }
  if (!open_tags_.empty()) {
    Append(&text, " The innermost block that is open is '", open_tags_.back(), "'.");
  }
  return text;
}

absl::Status Parser::UnknownTag(const Token& token) {
  for (const std::string_view name :
       {"block", "extends", "include", "import", "from", "autoescape"}) {
    if (token.text == name) return Fail(Cat("'", name, "' is not supported"));
  }
  return Fail(Cat("Encountered unknown tag '", token.text, "'.", LookingFor()));
}

absl::Status Parser::UnexpectedEnd() {
  if (current().Is(TokenType::kError)) return Fail(current().text);
  return Fail(Cat("Unexpected end of template.", LookingFor()));
}

absl::StatusOr<Block> Parser::Statements(Names end_names) {
  if (depth_ >= limits_.max_parse_depth) return Fail("blocks are nested too deeply");
  ++depth_;
  end_names_.emplace_back(end_names.begin(), end_names.end());
  const absl::Cleanup leave = [this] {
    --depth_;
    end_names_.pop_back();
  };
  Block block;
  while (!current().Is(TokenType::kEnd)) {
    auto stmt = std::make_unique<Stmt>();
    stmt->line = current().line;
    if (current().Is(TokenType::kError)) return Fail(current().text);
    if (current().Is(TokenType::kData)) {
      stmt->node = Text{current().text};
      Next();
    } else if (current().Is(TokenType::kVariableBegin)) {
      Next();
      CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Tuple({}));
      CHORUS_RETURN_IF_ERROR(Expect(TokenType::kVariableEnd));
      stmt->node = Print{};
      std::get<Print>(stmt->node).values.push_back(std::move(value));
    } else {
      CHORUS_RETURN_IF_ERROR(Expect(TokenType::kBlockBegin));
      const bool ends = std::any_of(end_names.begin(), end_names.end(),
                                    [this](auto name) { return current().IsName(name); });
      if (ends) return block;
      CHORUS_ASSIGN_OR_RETURN(stmt, Statement());
      CHORUS_RETURN_IF_ERROR(Expect(TokenType::kBlockEnd));
    }
    block.push_back(std::move(stmt));
  }
  if (end_names.size() > 0) return UnexpectedEnd();
  return block;
}

absl::StatusOr<Block> Parser::Body(Names end_names) {
  SkipOperator(":");
  CHORUS_RETURN_IF_ERROR(Expect(TokenType::kBlockEnd));
  return Statements(end_names);
}

absl::StatusOr<Block> Parser::LastBody(std::string_view end_name) {
  CHORUS_ASSIGN_OR_RETURN(Block body, Body({end_name}));
  Next();
  return body;
}

absl::StatusOr<std::unique_ptr<Stmt>> Parser::Statement() {
  using Method = absl::Status (Parser::*)(Stmt*);
  static constexpr std::pair<std::string_view, Method> kStatements[] = {
      {"print", &Parser::ParsePrint},
      {"if", &Parser::ParseIf},
      {"for", &Parser::ParseFor},
      {"set", &Parser::ParseSet},
      {"macro", &Parser::ParseMacro},
      {"call", &Parser::ParseCall},
      {"with", &Parser::ParseWith},
      {"filter", &Parser::ParseFilterBlock},
      {"break", &Parser::ParseLoopControl},
      {"continue", &Parser::ParseLoopControl},
      {"generation", &Parser::ParseGeneration}};
  const Token token = current();
  if (token.Is(TokenType::kError)) return Fail(token.text);
  if (!token.Is(TokenType::kName)) return Fail("tag name expected");
  auto stmt = std::make_unique<Stmt>();
  stmt->line = token.line;
  for (const auto& [name, parse] : kStatements) {
    if (token.text != name) continue;
    open_tags_.push_back(token.text);
    const absl::Cleanup leave = [this] { open_tags_.pop_back(); };
    Next();
    CHORUS_RETURN_IF_ERROR((this->*parse)(stmt.get()));
    return stmt;
  }
  return UnknownTag(token);
}

absl::Status Parser::ParsePrint(Stmt* stmt) {
  Print print;
  while (!current().Is(TokenType::kBlockEnd)) {
    if (!print.values.empty()) CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
    CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Expression());
    print.values.push_back(std::move(value));
  }
  stmt->node = std::move(print);
  return absl::OkStatus();
}

absl::Status Parser::ParseIf(Stmt* stmt) {
  If node;
  do {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr condition, Tuple({.with_condition = false}));
    CHORUS_ASSIGN_OR_RETURN(Block body, Body({"elif", "else", "endif"}));
    node.branches.emplace_back(std::move(condition), std::move(body));
  } while (SkipName("elif"));
  if (SkipName("else")) {
    CHORUS_ASSIGN_OR_RETURN(node.otherwise, LastBody("endif"));
  } else {
    Next();
  }
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseFor(Stmt* stmt) {
  For node;
  CHORUS_ASSIGN_OR_RETURN(node.target, Target(/*with_namespace=*/false, "in"));
  CHORUS_RETURN_IF_ERROR(ExpectName("in"));
  CHORUS_ASSIGN_OR_RETURN(node.iterable, Tuple({.with_condition = false, .end_name = "recursive"}));
  if (SkipName("if")) {
    CHORUS_ASSIGN_OR_RETURN(node.test, Expression());
  }
  if (current().IsName("recursive")) return Fail("recursive loops are not supported");
  ++loop_depth_;
  const absl::Cleanup leave = [this] { --loop_depth_; };
  CHORUS_ASSIGN_OR_RETURN(node.body, Body({"endfor", "else"}));
  if (SkipName("else")) {
    --loop_depth_;  // the else part no longer belongs to the loop
    const absl::Cleanup again = [this] { ++loop_depth_; };
    CHORUS_ASSIGN_OR_RETURN(node.otherwise, LastBody("endfor"));
  } else {
    Next();
  }
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseSet(Stmt* stmt) {
  CHORUS_ASSIGN_OR_RETURN(ExprPtr target, Target(/*with_namespace=*/true, ""));
  if (SkipOperator("=")) {
    CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Tuple({}));
    stmt->node = Set{std::move(target), std::move(value)};
    return absl::OkStatus();
  }
  SetBlock node{.target = std::move(target)};
  if (current().IsOperator("|")) {
    CHORUS_ASSIGN_OR_RETURN(node.filter, Filters(nullptr, /*start_inline=*/false));
  }
  CHORUS_ASSIGN_OR_RETURN(node.body, LastBody("endset"));
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::Signature(MacroDef* def) {
  CHORUS_RETURN_IF_ERROR(ExpectOperator("("));
  while (!current().IsOperator(")")) {
    if (!def->parameters.empty()) CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
    CHORUS_ASSIGN_OR_RETURN(std::string name, TargetName());
    if (std::find(def->parameters.begin(), def->parameters.end(), name) != def->parameters.end()) {
      return Fail(Cat("duplicate argument '", name, "' in macro definition"));
    }
    if (SkipOperator("=")) {
      CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Expression());
      def->defaults.push_back(std::move(value));
    } else if (!def->defaults.empty()) {
      return Fail("non-default argument follows default argument");
    }
    def->explicit_caller = def->explicit_caller || name == "caller";
    def->parameters.push_back(std::move(name));
  }
  return ExpectOperator(")");
}

absl::Status Parser::ParseMacro(Stmt* stmt) {
  Macro node{.def = std::make_unique<MacroDef>()};
  CHORUS_ASSIGN_OR_RETURN(node.def->name, TargetName());
  CHORUS_RETURN_IF_ERROR(Signature(node.def.get()));
  const int loops = std::exchange(loop_depth_, 0);
  CHORUS_ASSIGN_OR_RETURN(node.def->body, LastBody("endmacro"));
  loop_depth_ = loops;
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseCall(Stmt* stmt) {
  CallBlock node{.caller = std::make_unique<MacroDef>()};
  if (current().IsOperator("(")) CHORUS_RETURN_IF_ERROR(Signature(node.caller.get()));
  CHORUS_ASSIGN_OR_RETURN(node.call, Expression());
  if (node.call->op != Op::kCall) return Fail("expected call", stmt->line);
  const int loops = std::exchange(loop_depth_, 0);
  CHORUS_ASSIGN_OR_RETURN(node.caller->body, LastBody("endcall"));
  loop_depth_ = loops;
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseFilterBlock(Stmt* stmt) {
  FilterBlock node;
  CHORUS_ASSIGN_OR_RETURN(node.filter, Filters(nullptr, /*start_inline=*/true));
  CHORUS_ASSIGN_OR_RETURN(node.body, LastBody("endfilter"));
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseWith(Stmt* stmt) {
  With node;
  while (!current().Is(TokenType::kBlockEnd)) {
    if (!node.targets.empty()) CHORUS_RETURN_IF_ERROR(ExpectOperator(","));
    CHORUS_ASSIGN_OR_RETURN(ExprPtr target, Target(/*with_namespace=*/false, ""));
    CHORUS_RETURN_IF_ERROR(ExpectOperator("="));
    CHORUS_ASSIGN_OR_RETURN(ExprPtr value, Expression());
    node.targets.push_back(std::move(target));
    node.values.push_back(std::move(value));
  }
  CHORUS_ASSIGN_OR_RETURN(node.body, LastBody("endwith"));
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseGeneration(Stmt* stmt) {
  Generation node;
  const int loops = std::exchange(loop_depth_, 0);  // its body is a function of its own to jinja2
  CHORUS_ASSIGN_OR_RETURN(node.body, LastBody("endgeneration"));
  loop_depth_ = loops;
  stmt->node = std::move(node);
  return absl::OkStatus();
}

absl::Status Parser::ParseLoopControl(Stmt* stmt) {
  const bool is_break = open_tags_.back() == "break";
  if (loop_depth_ == 0) {
    return Fail(is_break ? "'break' outside loop" : "'continue' not in loop", stmt->line);
  }
  if (is_break) {
    stmt->node = Break{};
  } else {
    stmt->node = Continue{};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Parser::TargetName() {
  const Token token = current();
  CHORUS_RETURN_IF_ERROR(Expect(TokenType::kName));
  for (const std::string_view constant : {"true", "True", "false", "False", "none", "None"}) {
    if (token.text == constant) return Fail("can't assign to 'const'", token.line);
  }
  return token.text;
}

absl::StatusOr<ExprPtr> Parser::Target(bool with_namespace, std::string_view end_name) {
  CHORUS_ASSIGN_OR_RETURN(
      ExprPtr target,
      Tuple({.targets = true, .with_namespace = with_namespace, .end_name = end_name}));
  // Tuples of names, however nested.
  std::vector<const Expr*> open = {target.get()};
  while (!open.empty()) {
    const Expr* node = open.back();
    open.pop_back();
    if (node->op == Op::kTuple) {
      for (const ExprPtr& item : node->args) open.push_back(item.get());
    } else if (node->op != Op::kName && node->op != Op::kNamespaceRef) {
      return Fail("can't assign to this expression", node->line);
    }
  }
  return target;
}

}  // namespace chorus::jinja
