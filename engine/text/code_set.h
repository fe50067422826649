// Sets of Unicode code points, and the named sets of Hugging Face tokenizers (its regular
// expressions, its Rust classes), probed from that package: see unicode_tables.py.
#ifndef CHORUS_ENGINE_TEXT_CODE_SET_H_
#define CHORUS_ENGINE_TEXT_CODE_SET_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace chorus::engine {

// A value type: sorted, disjoint, non-adjacent inclusive ranges.
class CodeSet {
 public:
  struct Range {
    char32_t first, last;
  };

  CodeSet() = default;
  static CodeSet Of(char32_t code_point) { return Of(code_point, code_point); }
  static CodeSet Of(char32_t first, char32_t last);  // empty when first > last
  static CodeSet All() { return Of(0, 0x10FFFF); }
  // REQUIRES: sorted, disjoint, non-adjacent.
  static CodeSet FromRanges(std::vector<Range> ranges);

  const std::vector<Range>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  int64_t size() const;
  bool Contains(char32_t code_point) const;

  CodeSet Union(const CodeSet& other) const;
  CodeSet Intersection(const CodeSet& other) const;
  CodeSet Complement() const;

  bool operator==(const CodeSet& other) const;

 private:
  std::vector<Range> ranges_;
};

// \p{name} as the regular expressions know it: a general category ("L", "Lu", "Letter"), a script
// ("Han") or a class ("Alpha"), case, blanks, '-' and '_' ignored. nullopt for any other name.
std::optional<CodeSet> PropertySet(std::string_view name);

// The inside of [[:name:]].
std::optional<CodeSet> BracketSet(std::string_view name);

const CodeSet& PerlDigits();       // \d of the regular expressions
const CodeSet& PerlSpaces();       // \s
const CodeSet& PerlWords();        // \w
const CodeSet& RustWords();        // \w of the pre-tokeniser Whitespace and of added tokens
const CodeSet& RustSpaces();       // char::is_whitespace, and \s beside it
const CodeSet& RustNumerics();     // char::is_numeric
const CodeSet& RustPunctuation();  // what the pre-tokeniser Punctuation splits at
const CodeSet& RustMarks();        // what StripAccents drops

// The code points that (?i) takes for `code_point`, itself among them.
CodeSet CaseOrbit(char32_t code_point);
// `set` with the orbits of its members, as (?i) widens [...].
CodeSet WithCaseOrbits(const CodeSet& set);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_CODE_SET_H_
