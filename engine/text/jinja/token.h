// What the lexer makes of a template's source.
#ifndef CHORUS_ENGINE_TEXT_JINJA_TOKEN_H_
#define CHORUS_ENGINE_TEXT_JINJA_TOKEN_H_

#include <cstdint>
#include <string>

namespace chorus::jinja {

enum class TokenType {
  kData,           // text outside of tags
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kName,
  kString,  // unescaped
  kInteger,
  kFloat,
  kOperator,
  kError,  // text is the message; the last token
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  int line = 1;
  std::string text;
  int64_t integer = 0;
  double real = 0;

  bool Is(TokenType wanted) const { return type == wanted; }
  bool IsName(std::string_view name) const { return type == TokenType::kName && text == name; }
  bool IsOperator(std::string_view op) const { return type == TokenType::kOperator && text == op; }
};

// How an error message names the token: "end of print statement", "for", "+".
std::string Describe(const Token& token);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_TOKEN_H_
