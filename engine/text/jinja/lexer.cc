#include "engine/text/jinja/lexer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/literals.h"
#include "engine/text/jinja/unicode.h"

namespace chorus::jinja {
namespace {

// \r\n and \r become \n, and one newline at the end goes.
std::string NormalizeNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text.push_back(source[i]);
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text.push_back('\n');
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

int CountNewlines(std::string_view text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

bool IsNameByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '_' || byte >= 0x80 || (byte >= '0' && byte <= '9') ||
         (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeNewlines(source)) {}

  std::vector<Token> Run() {
    while (!failed_ && at_ < source_.size()) Root();
    if (!failed_) Emit(TokenType::kEnd);
    return std::move(tokens_);
  }

 private:
  // An edge of a tag that ends at byte `end`, or `end` = 0 when there is none here.
  struct Edge {
    size_t end = 0;
    char sign = 0;  // '-', '+' or 0
  };

  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  std::string_view From(size_t start) const { return std::string_view(source_).substr(start); }

  void Emit(TokenType type, std::string text = "") {
    tokens_.push_back(Token{.type = type, .line = line_, .text = std::move(text)});
  }

  void Fail(std::string message) {
    Emit(TokenType::kError, std::move(message));
    failed_ = true;
  }

  // Moves behind `end`, counting lines.
  void Advance(size_t end) {
    line_ += CountNewlines(From(at_).substr(0, end - at_));
    at_ = end;
  }

  size_t SkipSpace(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      if (!IsSpace(Decode(source_, &next))) break;
      at = next;
    }
    return at;
  }

  Edge Sign(size_t at) const {
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) {
      return {at + 1, source_[at]};
    }
    return {at, 0};
  }

  // The end of a tag at `at`: "-%}" with the white space behind it, "+%}", or "%}" with one newline
  // where `trim`.
  Edge TagEnd(size_t at, std::string_view closing, bool plus, bool trim) const {
    const std::string_view text = From(at);
    if (text.size() > closing.size() && text[0] == '-' && text.substr(1).starts_with(closing)) {
      return {SkipSpace(at + 1 + closing.size()), '-'};
    }
    if (plus && !text.empty() && text[0] == '+' && text.substr(1).starts_with(closing)) {
      return {at + 1 + closing.size(), '+'};
    }
    if (!text.starts_with(closing)) return {};
    size_t end = at + closing.size();
    if (trim && end < source_.size() && source_[end] == '\n') ++end;
    return {end, 0};
  }

  void FinishTag(const Edge& edge) {
    Advance(edge.end);
    line_starting_ = source_[edge.end - 1] == '\n';
  }

  // Emits the text up to `tag`, stripped as the tag's sign and lstrip_blocks want it.
  void Data(size_t tag, char sign, bool lstrip) {
    std::string_view text = From(at_).substr(0, tag - at_);
    if (sign == '-') {
      text = StripRight(text);
    } else if (sign != '+' && lstrip) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == text.npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && Strip(text.substr(start)).empty()) {
        text = text.substr(0, start);
      }
    }
    if (!text.empty()) Emit(TokenType::kData, std::string(text));
    Advance(tag);
  }

  void Root() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        Emit(TokenType::kData, std::string(rest()));
        Advance(source_.size());
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char type = source_[tag + 1];
    const Edge begin = Sign(tag + 2);
    Data(tag, begin.sign, /*lstrip=*/type != '{');
    if (type == '#') return Comment(begin.end);
    if (type == '%' && Raw(begin.end)) return;
    const bool block = type == '%';
    Emit(block ? TokenType::kBlockBegin : TokenType::kVariableBegin);
    Advance(begin.end);
    line_starting_ = false;
    Tag(block);
  }

  void Comment(size_t at) {
    Advance(at);
    for (; at < source_.size(); ++at) {
      if (const Edge end = TagEnd(at, "#}", /*plus=*/true, /*trim=*/true); end.end != 0) {
        return FinishTag(end);
      }
    }
    Fail("Missing end of comment tag");
  }

  // A raw block, from behind "{%". False when it is some other tag.
  bool Raw(size_t at) {
    at = SkipSpace(at);
    if (!From(at).starts_with("raw")) return false;
    const Edge begin = TagEnd(SkipSpace(at + 3), "%}", /*plus=*/false, /*trim=*/false);
    if (begin.end == 0) return false;
    FinishTag(begin);
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      const Edge sign = Sign(tag + 2);
      const size_t name = SkipSpace(sign.end);
      if (!From(name).starts_with("endraw")) continue;
      const Edge end = TagEnd(SkipSpace(name + 6), "%}", /*plus=*/true, /*trim=*/true);
      if (end.end == 0) continue;
      Data(tag, sign.sign, /*lstrip=*/true);
      FinishTag(end);
      return true;
    }
    Fail("Missing end of raw directive");
    return true;
  }

  void Tag(bool block) {
    std::string open;  // the closing brackets still owed
    while (!failed_ && at_ < source_.size()) {
      if (open.empty()) {
        const Edge end = block ? TagEnd(at_, "%}", /*plus=*/true, /*trim=*/true)
                               : TagEnd(at_, "}}", /*plus=*/false, /*trim=*/false);
        if (end.end != 0) {
          Emit(block ? TokenType::kBlockEnd : TokenType::kVariableEnd);
          return FinishTag(end);
        }
      }
      if (const size_t end = SkipSpace(at_); end != at_) {
        Advance(end);
        continue;
      }
      Lexeme(&open);
    }
  }

  void Lexeme(std::string* open) {
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (const size_t size = after_dot ? 0 : FloatLength(rest()); size > 0) {
      Emit(TokenType::kFloat);
      tokens_.back().real = FloatValue(rest().substr(0, size));
      Advance(at_ + size);
    } else if (const size_t digits = IntegerLength(rest()); digits > 0) {
      const auto value = IntegerValue(rest().substr(0, digits));
      if (!value) return Fail("integer literal does not fit 64 bits");
      Emit(TokenType::kInteger);
      tokens_.back().integer = *value;
      Advance(at_ + digits);
    } else if (IsNameByte(source_[at_])) {
      size_t end = at_;
      while (end < source_.size() && IsNameByte(source_[end])) ++end;
      Name(rest().substr(0, end - at_));
    } else if (source_[at_] == '\'' || source_[at_] == '"') {
      StringLiteral();
    } else {
      Operator(open);
    }
  }

  void Name(std::string_view name) {
    for (size_t at = 0; at < name.size();) {
      const char32_t code = Decode(name, &at);
      if (code >= 0x80 && !IsWord(code)) return Fail("Invalid character in identifier");
    }
    Emit(TokenType::kName, std::string(name));
    Advance(at_ + name.size());
  }

  void StringLiteral() {
    const char quote = source_[at_];
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return Fail(Cat("unexpected char '", rest().substr(0, 1), "'"));
    auto text = Unescape(From(at_ + 1).substr(0, end - at_ - 1));
    if (!text.ok()) return Fail(std::string(text.status().message()));
    Emit(TokenType::kString, *std::move(text));
    Advance(end + 1);
  }

  void Operator(std::string* open) {
    for (const std::string_view op : {"//", "**", "==", "!=", ">=", "<="}) {
      if (rest().starts_with(op)) {
        Emit(TokenType::kOperator, std::string(op));
        return Advance(at_ + 2);
      }
    }
    const char c = source_[at_];
    if (c == '\0' || std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      return Fail(Cat("unexpected char '", std::string(1, c), "'"));
    }
    if (c == '(') open->push_back(')');
    if (c == '[') open->push_back(']');
    if (c == '{') open->push_back('}');
    if (c == ')' || c == ']' || c == '}') {
      if (open->empty()) return Fail(Cat("unexpected '", std::string(1, c), "'"));
      if (open->back() != c) {
        return Fail(Cat("unexpected '", std::string(1, c), "', expected '",
                        std::string(1, open->back()), "'"));
      }
      open->pop_back();
    }
    Emit(TokenType::kOperator, std::string(1, c));
    Advance(at_ + 1);
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // what was matched last ended in a newline, or nothing was yet
  bool failed_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

std::string Describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData:
      return "template data / text";
    case TokenType::kVariableBegin:
      return "begin of print statement";
    case TokenType::kVariableEnd:
      return "end of print statement";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kString:
      return "string";
    case TokenType::kInteger:
      return "integer";
    case TokenType::kFloat:
      return "float";
    case TokenType::kName:
    case TokenType::kOperator:
    case TokenType::kError:
      return token.text;
    case TokenType::kEnd:
      return "end of template";
  }
  return "token";
}

}  // namespace chorus::jinja
