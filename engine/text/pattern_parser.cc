#include "engine/text/pattern_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/text/pattern_set_parser.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr int kMaxDepth = 100;

class Parser {
 public:
  explicit Parser(std::u32string_view text) : cursor_(text) {}

  absl::StatusOr<ParsedPattern> Run() {
    CHORUS_RETURN_IF_ERROR(Alternation(Flags{}));
    if (!cursor_.done()) return cursor_.Error("unmatched ')'");
    return std::move(result_);
  }

 private:
  struct Flags {
    bool ignore_case = false;
    bool dot_all = false;
  };

  void Structure(std::string text) { result_.parts.push_back({std::move(text), -1}); }

  void Set(CodeSet set, std::string before = "") {
    const auto found = std::find(result_.sets.begin(), result_.sets.end(), set);
    const auto index = static_cast<int>(found - result_.sets.begin());
    if (found == result_.sets.end()) result_.sets.push_back(std::move(set));
    result_.parts.push_back({std::move(before), index});
  }

  absl::Status Alternation(Flags flags) {
    if (++depth_ > kMaxDepth) return cursor_.Error("groups nested too deeply");
    CHORUS_RETURN_IF_ERROR(Branch(flags));
    while (cursor_.Accept(U'|')) {
      Structure("|");
      CHORUS_RETURN_IF_ERROR(Branch(flags));
    }
    --depth_;
    return absl::OkStatus();
  }

  absl::Status Branch(Flags flags) {
    previous_literal_.reset();
    while (!cursor_.done() && cursor_.peek() != U'|' && cursor_.peek() != U')') {
      const size_t atom = result_.parts.size();
      CHORUS_RETURN_IF_ERROR(Atom(flags));
      CHORUS_RETURN_IF_ERROR(Quantifiers(atom));
    }
    previous_literal_.reset();
    return absl::OkStatus();
  }

  absl::Status Atom(Flags flags) {
    const char32_t c = cursor_.Next();
    if (c != U'\\') {
      const std::optional<char32_t> before = std::exchange(previous_literal_, std::nullopt);
      switch (c) {
        case U'(':
          return Group(flags);
        case U'[': {
          CHORUS_ASSIGN_OR_RETURN(CodeSet set, ParseBracket(&cursor_, flags.ignore_case));
          Set(std::move(set));
          return absl::OkStatus();
        }
        case U'.':
          Set(flags.dot_all ? CodeSet::All() : CodeSet::Of(U'\n').Complement());
          return absl::OkStatus();
        case U'^':  // the start of a line, but not behind a line feed that ends the text
          Structure("(?:\\A|(?<=");
          Set(CodeSet::Of(U'\n'));
          Structure(")(?!\\z))");
          return absl::OkStatus();
        case U'$':
          Structure("(?=");
          Set(CodeSet::Of(U'\n'));
          Structure("|\\z)");
          return absl::OkStatus();
        case U'*':
        case U'+':
        case U'?':
          return cursor_.Error("a quantifier without a target");
        default:
          previous_literal_ = before;
          return Literal(c, flags);
      }
    }
    if (cursor_.done()) return cursor_.Error("a backslash at the end");
    CHORUS_ASSIGN_OR_RETURN(const std::optional<CodeSet> set, ParseSetEscape(&cursor_));
    if (set.has_value()) {
      previous_literal_.reset();
      Set(*set);
      return absl::OkStatus();
    }
    if (Anchor()) return absl::OkStatus();
    CHORUS_ASSIGN_OR_RETURN(const char32_t literal, ParseCharacterEscape(&cursor_));
    return Literal(literal, flags);
  }

  absl::Status Literal(char32_t c, Flags flags) {
    if (!flags.ignore_case) {
      previous_literal_.reset();
      Set(CodeSet::Of(c));
      return absl::OkStatus();
    }
    if (FoldsToSeveral(c) || (previous_literal_ && BeginsLongFolding(*previous_literal_, c))) {
      return cursor_.Error("(?i) beside a character that folds to several");
    }
    previous_literal_ = c;
    Set(CaseOrbit(c));
    return absl::OkStatus();
  }

  // Consumes \A \z \Z \b \B; false when something else follows the backslash.
  bool Anchor() {
    switch (cursor_.peek()) {
      case U'A':
        Structure("\\A");
        break;
      case U'z':
        Structure("\\z");
        break;
      case U'Z':
        Structure("(?=");
        Set(CodeSet::Of(U'\n'));
        Structure("?\\z)");
        break;
      case U'b':
      case U'B': {
        const bool border = cursor_.peek() == U'b';
        Set(PerlWords(), "(?:(?<=");
        Set(PerlWords(), border ? ")(?!" : ")(?=");
        Set(PerlWords(), ")|(?<!");
        Set(PerlWords(), border ? ")(?=" : ")(?!");
        Structure("))");
        break;
      }
      default:
        return false;
    }
    cursor_.Next();
    previous_literal_.reset();
    return true;
  }

  absl::Status Group(Flags flags) {
    std::string open = "(?:";
    if (cursor_.Accept(U'?')) {
      if (cursor_.done()) return cursor_.Error("an unfinished group");
      const char32_t kind = cursor_.Next();
      switch (kind) {
        case U':':
          break;
        case U'=':
        case U'!':
        case U'>':
          open = StrCat("(?", std::string(1, static_cast<char>(kind)));
          break;
        case U'<':
          if (cursor_.Accept(U'=')) {
            open = "(?<=";
          } else if (cursor_.Accept(U'!')) {
            open = "(?<!";
          } else {
            CHORUS_RETURN_IF_ERROR(SkipName());
          }
          break;
        case U'#':
          return Comment();
        default:
          return Options(kind, flags);
      }
    }
    return GroupBody(std::move(open), flags);
  }

  absl::Status GroupBody(std::string open, Flags flags) {
    Structure(std::move(open));
    CHORUS_RETURN_IF_ERROR(Alternation(flags));
    if (!cursor_.Accept(U')')) return cursor_.Error("a group that does not end");
    Structure(")");
    return absl::OkStatus();
  }

  absl::Status SkipName() {
    while (!cursor_.done()) {
      if (cursor_.Next() == U'>') return absl::OkStatus();
    }
    return cursor_.Error("a group name that does not end");
  }

  absl::Status Comment() {
    while (!cursor_.done()) {
      if (cursor_.Next() == U')') return absl::OkStatus();
    }
    return cursor_.Error("a comment that does not end");
  }

  // (?i-m:…) and (?i), which holds to the end of the group around it, '|' included.
  absl::Status Options(char32_t c, Flags flags) {
    bool on = true;
    for (;; c = cursor_.Next()) {
      if (c == U'-') {
        on = false;
      } else if (c == U'i') {
        flags.ignore_case = on;
      } else if (c == U'm') {
        flags.dot_all = on;
      } else if (c == U':') {
        return GroupBody("(?:", flags);
      } else if (c == U')') {
        Structure("(?:");
        CHORUS_RETURN_IF_ERROR(Alternation(flags));
        Structure(")");
        return absl::OkStatus();
      } else {
        return cursor_.Error("an unknown group or option");
      }
      if (cursor_.done()) return cursor_.Error("an unfinished group");
    }
  }

  // The quantifiers behind the atom whose first part is `atom`. Two in a row nest: a** is (?:a*)*,
  // except that a second '?' makes the first lazy and a second '+' makes * + ? possessive.
  absl::Status Quantifiers(size_t atom) {
    for (bool first = true;; first = false) {
      CHORUS_ASSIGN_OR_RETURN(std::optional<std::string> quantifier, Quantifier());
      if (!quantifier.has_value()) return absl::OkStatus();
      if (result_.parts.size() == atom) return cursor_.Error("a quantifier without a target");
      const bool interval = quantifier->front() == '{';
      if (cursor_.Accept(U'?')) {
        if (interval && quantifier->find(',') == std::string::npos) {
          return cursor_.Error("the quantifier {n}?");
        }
        quantifier->push_back('?');
      } else if (!interval && cursor_.Accept(U'+')) {
        quantifier->push_back('+');
      }
      // An atom may be several parts (an anchor, a group): always safe to wrap.
      if (!first || result_.parts.size() - atom > 1) {
        result_.parts.insert(result_.parts.begin() + static_cast<std::ptrdiff_t>(atom),
                             {"(?:", -1});
        Structure(")");
      }
      Structure(std::move(*quantifier));
    }
  }

  // '*', '+', '?' or an interval in PCRE2's spelling; a brace that opens none is a literal.
  absl::StatusOr<std::optional<std::string>> Quantifier() {
    if (cursor_.done()) return std::nullopt;
    const char32_t c = cursor_.peek();
    if (c == U'*' || c == U'+' || c == U'?') {
      return std::string(1, static_cast<char>(cursor_.Next()));
    }
    if (c != U'{') return std::nullopt;
    const size_t start = cursor_.position();
    cursor_.Next();
    std::string low = Digits(), high;
    const bool comma = cursor_.Accept(U',');
    if (comma) high = Digits();
    if ((low.empty() && high.empty()) || !cursor_.Accept(U'}')) {
      cursor_.Seek(start);
      return std::nullopt;
    }
    if (low.size() > 5 || high.size() > 5) return cursor_.Error("an interval above 65535");
    if (!high.empty() && !low.empty() && std::stoi(low) > std::stoi(high)) {
      return cursor_.Error("an interval from high to low");
    }
    if (low.empty()) low.push_back('0');
    return comma ? StrCat("{", low, ",", high, "}") : StrCat("{", low, "}");
  }

  std::string Digits() {
    std::string digits;
    while (!cursor_.done() && cursor_.peek() >= U'0' && cursor_.peek() <= U'9') {
      digits.push_back(static_cast<char>(cursor_.Next()));
    }
    return digits;
  }

  PatternCursor cursor_;
  ParsedPattern result_;
  int depth_ = 0;
  std::optional<char32_t> previous_literal_;  // under (?i), directly before the next atom
};

}  // namespace

absl::StatusOr<ParsedPattern> ParsePattern(std::string_view expression) {
  CHORUS_RETURN_IF_ERROR(CheckUtf8(expression, "regular expression"));
  const std::u32string text = ToCodePoints(expression);
  return Parser(text).Run();
}

}  // namespace chorus::engine
