#include "engine/text/pattern_set_parser.h"

#include <string>
#include <utility>

#include "engine/text/str_cat.h"
#include "engine/text/unicode_tables.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr int kMaxBracketDepth = 50;

const CodeSet& HexDigits() {
  static const auto* const set = new CodeSet(
      CodeSet::Of(U'0', U'9').Union(CodeSet::Of(U'A', U'F')).Union(CodeSet::Of(U'a', U'f')));
  return *set;
}

std::optional<uint32_t> HexValue(char32_t c) {
  if (c >= U'0' && c <= U'9') return c - U'0';
  if (c >= U'a' && c <= U'f') return c - U'a' + 10;
  if (c >= U'A' && c <= U'F') return c - U'A' + 10;
  return std::nullopt;
}

bool IsAsciiAlnum(char32_t c) {
  return (c >= U'0' && c <= U'9') || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}

absl::StatusOr<char32_t> HexCodePoint(PatternCursor* cursor, int min_digits, int max_digits) {
  uint32_t value = 0;
  int digits = 0;
  while (digits < max_digits && !cursor->done() && HexValue(cursor->peek())) {
    value = value * 16 + *HexValue(cursor->Next());
    ++digits;
  }
  if (digits < min_digits || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    return cursor->Error("a bad hexadecimal character");
  }
  return static_cast<char32_t>(value);
}

// \p{Name}, \p{^Name}, \P{Name}; the cursor is on the 'p'.
absl::StatusOr<CodeSet> ParseProperty(PatternCursor* cursor) {
  bool negated = cursor->Next() == U'P';
  if (!cursor->Accept(U'{')) return cursor->Error("\\p without {name}");
  if (cursor->Accept(U'^')) negated = !negated;
  std::string name;
  while (!cursor->done() && cursor->peek() != U'}') AppendUtf8(cursor->Next(), &name);
  if (!cursor->Accept(U'}')) return cursor->Error("\\p{ that does not end");
  const std::optional<CodeSet> set = PropertySet(name);
  if (!set.has_value()) return cursor->Error(StrCat("the unknown property ", name));
  return negated ? set->Complement() : *set;
}

// [:name:] or [:^name:]; the cursor is behind "[:".
absl::StatusOr<CodeSet> ParseNamedBracket(PatternCursor* cursor) {
  const bool negated = cursor->Accept(U'^');
  std::string name;
  while (!cursor->done() && cursor->peek() != U':' && name.size() < 20) {
    AppendUtf8(cursor->Next(), &name);
  }
  const std::optional<CodeSet> set = BracketSet(name);
  if (!cursor->Accept(U':') || !cursor->Accept(U']') || !set.has_value()) {
    return cursor->Error(StrCat("the unknown class [:", name));
  }
  return negated ? set->Complement() : *set;
}

class BracketParser {
 public:
  explicit BracketParser(PatternCursor* cursor) : cursor_(*cursor) {}

  // Behind '['. Not widened by case.
  absl::StatusOr<CodeSet> Run() {
    if (++depth_ > kMaxBracketDepth) return cursor_.Error("sets nested too deeply");
    const bool negated = cursor_.Accept(U'^');
    CodeSet all = CodeSet::All(), current;
    for (bool first = true;; first = false) {
      if (cursor_.done()) return cursor_.Error("a set that does not end");
      if (cursor_.LooksAt(U"&&")) {
        cursor_.Seek(cursor_.position() + 2);
        all = all.Intersection(std::exchange(current, CodeSet()));
        continue;
      }
      if (cursor_.peek() == U']' && !first) break;
      CHORUS_ASSIGN_OR_RETURN(const CodeSet item, Item());
      current = current.Union(item);
    }
    cursor_.Next();
    --depth_;
    const CodeSet result = all.Intersection(current);
    return negated ? result.Complement() : result;
  }

 private:
  absl::StatusOr<CodeSet> Item() {
    if (cursor_.LooksAt(U"[:")) {
      cursor_.Seek(cursor_.position() + 2);
      return ParseNamedBracket(&cursor_);
    }
    if (cursor_.Accept(U'[')) return Run();
    CHORUS_ASSIGN_OR_RETURN(const CodeSet first, Single());
    if (first.size() != 1 || !cursor_.LooksAt(U"-")) return first;
    const size_t dash = cursor_.position();
    cursor_.Next();
    // A dash before ']' stands for itself; before a set or "&&" Oniguruma's rules are murky.
    if (cursor_.done() || cursor_.peek() == U']') {
      cursor_.Seek(dash);
      return first;
    }
    if (cursor_.peek() == U'[' || cursor_.LooksAt(U"&&")) return cursor_.Error("a range to a set");
    CHORUS_ASSIGN_OR_RETURN(const CodeSet last, Single());
    const char32_t low = first.ranges().front().first;
    if (last.size() != 1 || last.ranges().front().first < low) {
      return cursor_.Error("a bad range in a set");
    }
    return CodeSet::Of(low, last.ranges().front().first);
  }

  absl::StatusOr<CodeSet> Single() {
    const char32_t c = cursor_.Next();
    if (c != U'\\') return CodeSet::Of(c);
    if (cursor_.done()) return cursor_.Error("a backslash at the end");
    CHORUS_ASSIGN_OR_RETURN(std::optional<CodeSet> set, ParseSetEscape(&cursor_));
    if (set.has_value()) return *std::move(set);
    if (cursor_.Accept(U'b')) return CodeSet::Of(U'\b');
    CHORUS_ASSIGN_OR_RETURN(const char32_t literal, ParseCharacterEscape(&cursor_));
    return CodeSet::Of(literal);
  }

  PatternCursor& cursor_;
  int depth_ = 0;
};

}  // namespace

absl::Status PatternCursor::Error(std::string_view what) const {
  return absl::InvalidArgumentError(
      StrCat(what, " (near character ", at_, ") is not supported in a regular expression"));
}

absl::StatusOr<std::optional<CodeSet>> ParseSetEscape(PatternCursor* cursor) {
  switch (cursor->peek()) {
    case U'p':
    case U'P': {
      CHORUS_ASSIGN_OR_RETURN(CodeSet set, ParseProperty(cursor));
      return set;
    }
    case U'd':
      cursor->Next();
      return PerlDigits();
    case U'D':
      cursor->Next();
      return PerlDigits().Complement();
    case U's':
      cursor->Next();
      return PerlSpaces();
    case U'S':
      cursor->Next();
      return PerlSpaces().Complement();
    case U'w':
      cursor->Next();
      return PerlWords();
    case U'W':
      cursor->Next();
      return PerlWords().Complement();
    case U'h':
      cursor->Next();
      return HexDigits();
    case U'H':
      cursor->Next();
      return HexDigits().Complement();
    default:
      return std::nullopt;
  }
}

absl::StatusOr<char32_t> ParseCharacterEscape(PatternCursor* cursor) {
  const char32_t c = cursor->Next();
  switch (c) {
    case U't':
      return U'\t';
    case U'n':
      return U'\n';
    case U'r':
      return U'\r';
    case U'f':
      return U'\f';
    case U'v':
      return U'\v';
    case U'a':
      return U'\a';
    case U'e':
      return char32_t{0x1B};
    case U'u':
      return HexCodePoint(cursor, 4, 4);
    case U'x': {
      if (!cursor->Accept(U'{')) {
        // Above 7F it would be a raw byte of UTF-8 to Oniguruma.
        CHORUS_ASSIGN_OR_RETURN(const char32_t value, HexCodePoint(cursor, 1, 2));
        if (value > 0x7F) return cursor->Error("\\x above 7F without braces");
        return value;
      }
      CHORUS_ASSIGN_OR_RETURN(const char32_t value, HexCodePoint(cursor, 1, 8));
      if (!cursor->Accept(U'}')) return cursor->Error("\\x{ that does not end");
      return value;
    }
    default:
      if (IsAsciiAlnum(c)) {
        return cursor->Error(StrCat("the escape \\", std::string(1, static_cast<char>(c))));
      }
      return c;
  }
}

absl::StatusOr<CodeSet> ParseBracket(PatternCursor* cursor, bool ignore_case) {
  const bool negated = ignore_case && !cursor->done() && cursor->peek() == U'^';
  CHORUS_ASSIGN_OR_RETURN(CodeSet set, BracketParser(cursor).Run());
  if (!ignore_case) return set;
  // [^a] under (?i) leaves out A as well: widen what is named, then negate.
  const CodeSet named = WithCaseOrbits(negated ? set.Complement() : set);
  std::optional<char32_t> folded;
  unicode_tables::ForEachRecord(unicode_tables::LongFoldings(),
                                [&](char32_t c, std::span<const uint32_t>) {
                                  if (named.Contains(c)) folded = c;
                                });
  if (folded.has_value())
    return cursor->Error("(?i) in a set with a character that folds to several");
  return negated ? named.Complement() : named;
}

bool FoldsToSeveral(char32_t c) {
  bool found = false;
  unicode_tables::ForEachRecord(
      unicode_tables::LongFoldings(),
      [&](char32_t code_point, std::span<const uint32_t>) { found |= code_point == c; });
  return found;
}

bool BeginsLongFolding(char32_t a, char32_t b) {
  const CodeSet first = CaseOrbit(a), second = CaseOrbit(b);
  bool found = false;
  unicode_tables::ForEachRecord(
      unicode_tables::LongFoldings(), [&](char32_t, std::span<const uint32_t> folding) {
        found |= first.Contains(folding[0]) && second.Contains(folding[1]);
      });
  return found;
}

}  // namespace chorus::engine
