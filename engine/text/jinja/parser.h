// Grammar, as jinja2's parser reads it:
//   template   : (data | "{{" tuple "}}" | "{%" statement "%}")*
//   expression : or ["if" or ["else" expression]]
//   or > and > not > comparison > + - > ~ > * / // % > ** > unary > postfix, filters and tests
// The statements are those of ast.h.
#ifndef CHORUS_ENGINE_TEXT_JINJA_PARSER_H_
#define CHORUS_ENGINE_TEXT_JINJA_PARSER_H_

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/token.h"

namespace chorus::jinja {

class Parser {
 public:
  Parser(std::string_view source, const Limits& limits);

  // InvalidArgument "line N: …".
  absl::StatusOr<Block> Parse();

 private:
  using Names = std::initializer_list<std::string_view>;

  // Statements: parser_statements.cc.
  absl::StatusOr<Block> Statements(Names end_names);          // up to, and not past, an end name
  absl::StatusOr<Block> Body(Names end_names);                // from behind the tag's head
  absl::StatusOr<Block> LastBody(std::string_view end_name);  // and past the end name
  absl::StatusOr<std::unique_ptr<Stmt>> Statement();
  absl::Status ParsePrint(Stmt* stmt);
  absl::Status ParseIf(Stmt* stmt);
  absl::Status ParseFor(Stmt* stmt);
  absl::Status ParseSet(Stmt* stmt);
  absl::Status ParseMacro(Stmt* stmt);
  absl::Status ParseCall(Stmt* stmt);
  absl::Status ParseFilterBlock(Stmt* stmt);
  absl::Status ParseWith(Stmt* stmt);
  absl::Status ParseGeneration(Stmt* stmt);
  absl::Status ParseLoopControl(Stmt* stmt);
  absl::Status Signature(MacroDef* def);
  absl::StatusOr<std::string> TargetName();
  absl::StatusOr<ExprPtr> Target(bool with_namespace, std::string_view end_name);
  absl::Status UnknownTag(const Token& token);
  absl::Status UnexpectedEnd();
  std::string LookingFor() const;

  // Expressions: parser_expressions.cc.
  absl::StatusOr<ExprPtr> Expression(bool with_condition = true);
  absl::StatusOr<ExprPtr> Condition();
  absl::StatusOr<ExprPtr> Or();
  absl::StatusOr<ExprPtr> And();
  absl::StatusOr<ExprPtr> Not();
  absl::StatusOr<ExprPtr> Compare();
  absl::StatusOr<ExprPtr> Sum();
  absl::StatusOr<ExprPtr> Concat();
  absl::StatusOr<ExprPtr> Product();
  absl::StatusOr<ExprPtr> Power();
  absl::StatusOr<ExprPtr> Unary(bool with_filter = true);
  absl::StatusOr<ExprPtr> Primary(bool with_namespace = false);
  absl::StatusOr<ExprPtr> NameOrConstant(bool with_namespace);
  absl::StatusOr<ExprPtr> ListLiteral();
  absl::StatusOr<ExprPtr> DictLiteral();
  struct TupleOptions {
    bool targets = false;  // names only, and with_namespace also name.attribute
    bool with_namespace = false;
    bool with_condition = true;
    bool parentheses = false;   // may be empty
    std::string_view end_name;  // a name that ends the tuple
  };
  absl::StatusOr<ExprPtr> Tuple(const TupleOptions& options);
  bool AtTupleEnd(std::string_view end_name) const;

  // Behind an operand: parser_postfix.cc.
  absl::StatusOr<ExprPtr> Postfix(ExprPtr node);
  absl::StatusOr<ExprPtr> FilterExpression(ExprPtr node);
  absl::StatusOr<ExprPtr> Subscript(ExprPtr node);
  absl::StatusOr<ExprPtr> Subscribed(ExprPtr node);
  absl::StatusOr<ExprPtr> Call(ExprPtr node);
  absl::Status Arguments(Expr* call);
  absl::StatusOr<ExprPtr> Filters(ExprPtr node, bool start_inline);
  absl::StatusOr<ExprPtr> Test(ExprPtr node);
  absl::StatusOr<std::string> DottedName();

  static ExprPtr Node(Op op, int line);
  static ExprPtr Binary(Op op, int line, ExprPtr left, ExprPtr right);
  // Makes the node final: its depth is known and within the limit.
  absl::StatusOr<ExprPtr> Finish(ExprPtr node);

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void Next() { at_ = std::min(at_ + 1, tokens_.size() - 1); }
  bool SkipName(std::string_view name);
  bool SkipOperator(std::string_view op);
  absl::Status Expect(TokenType type);
  absl::Status ExpectOperator(std::string_view op);
  absl::Status ExpectName(std::string_view name);
  absl::Status Fail(std::string_view message) const { return Fail(message, current().line); }
  absl::Status Fail(std::string_view message, int line) const;
  absl::Status Unexpected(std::string_view expected) const;

  const Limits limits_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;       // of nested calls of the parser's own
  int loop_depth_ = 0;  // loops around the current statement, within its macro
  std::vector<std::string> open_tags_;
  std::vector<std::vector<std::string>> end_names_;
};

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_PARSER_H_
