// Reads a regular expression in Oniguruma's Ruby syntax and takes its character sets apart from
// its structure. Pure function; any thread may call.
//
//   expression := branch ('|' branch)*
//   branch     := (atom quantifier*)*
//   atom       := literal | '.' | escape | '[' set ']' | anchor | '(' group ')'
//   group      := '?:' … | '?i-m:' … | '?=' … | '?!' … | '?<=' … | '?<!' … | '?>' … | '?<name>' …
//
// Back references, recursion, conditionals, the absent operator, \K, \G and \X are refused.
#ifndef CHORUS_ENGINE_TEXT_PATTERN_PARSER_H_
#define CHORUS_ENGINE_TEXT_PATTERN_PARSER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/code_set.h"

namespace chorus::engine {

struct ParsedPattern {
  // Structure in the syntax of PCRE2, then one character of sets[set] (none when set is -1).
  struct Part {
    std::string structure;
    int set = -1;
  };
  std::vector<Part> parts;
  std::vector<CodeSet> sets;
};

absl::StatusOr<ParsedPattern> ParsePattern(std::string_view expression);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_PATTERN_PARSER_H_
