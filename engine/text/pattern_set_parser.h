// The character sets of Oniguruma's Ruby syntax: \d \p{Lu} \x{41} [a-z&&[^x][:alpha:]].
#ifndef CHORUS_ENGINE_TEXT_PATTERN_SET_PARSER_H_
#define CHORUS_ENGINE_TEXT_PATTERN_SET_PARSER_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/code_set.h"

namespace chorus::engine {

// A place in an expression. REQUIRES for peek and Next: !done().
class PatternCursor {
 public:
  explicit PatternCursor(std::u32string_view text) : text_(text) {}

  bool done() const { return at_ == text_.size(); }
  char32_t peek() const { return text_[at_]; }
  bool LooksAt(std::u32string_view text) const { return text_.substr(at_).starts_with(text); }
  size_t position() const { return at_; }

  char32_t Next() { return text_[at_++]; }
  void Seek(size_t position) { at_ = position; }
  bool Accept(char32_t c) {
    if (done() || peek() != c) return false;
    ++at_;
    return true;
  }

  // InvalidArgument: `what`, and where it was found.
  absl::Status Error(std::string_view what) const;

 private:
  std::u32string_view text_;
  size_t at_ = 0;
};

// Behind a backslash: \d \s \w \h \p{…} and their negations; nullopt, and nothing consumed, when
// the escape is not a set.
absl::StatusOr<std::optional<CodeSet>> ParseSetEscape(PatternCursor* cursor);

// Behind a backslash: one character, as \n, \x{41}, \u0041 or itself.
absl::StatusOr<char32_t> ParseCharacterEscape(PatternCursor* cursor);

// Behind '[', up to and with its ']'.
absl::StatusOr<CodeSet> ParseBracket(PatternCursor* cursor, bool ignore_case);

// Whether (?i) compares `c` to several characters, and whether a then b are how such a folding
// begins (ß is ss): Oniguruma matches those, one set per character cannot.
bool FoldsToSeveral(char32_t c);
bool BeginsLongFolding(char32_t a, char32_t b);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_PATTERN_SET_PARSER_H_
