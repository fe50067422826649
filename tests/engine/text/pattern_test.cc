// Regular expressions of Oniguruma's Ruby syntax, on the constructs that tokenizers use.
#include "engine/text/pattern.h"

#include <ostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using ::testing::HasSubstr;

// The text with a '#' for each match.
std::string Replaced(const Pattern& pattern, const std::string& text) {
  Pattern::Scratch scratch;
  std::vector<Pattern::Match> matches;
  EXPECT_TRUE(pattern.FindAll(text, &scratch, &matches).ok());
  std::string result;
  size_t at = 0;
  for (const Pattern::Match& match : matches) {
    result += text.substr(at, match.begin - at) + "#";
    at = match.end;
  }
  return result + text.substr(at);
}

struct Case {
  const char* expression;
  const char* text;
  const char* replaced;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.expression; }
};

#include "tests/engine/text/pattern_cases_table.inc"

class PatternTest : public testing::TestWithParam<Case> {};

TEST_P(PatternTest, FindsWhatOnigurumaFinds) {
  const auto pattern = Pattern::Regex(GetParam().expression);
  ASSERT_TRUE(pattern.ok()) << pattern.status();
  EXPECT_EQ(Replaced(*pattern, GetParam().text), GetParam().replaced);
}

INSTANTIATE_TEST_SUITE_P(Table, PatternTest, testing::ValuesIn(kCases));

struct RefusedExpression {
  const char* expression;
  const char* complaint;
};

TEST(PatternRefusalTest, NamesTheConstruct) {
  const RefusedExpression refused[] = {
      {"(", "a group that does not end"},
      {")", "unmatched ')'"},
      {"[a", "a set that does not end"},
      {"*a", "a quantifier without a target"},
      {"a{5,2}", "an interval from high to low"},
      {"a{100000}", "an interval above 65535"},
      {"\\", "a backslash at the end"},
      {"(a)\\1", "the escape \\1"},
      {"\\k<n>", "the escape \\k"},
      {"\\G", "the escape \\G"},
      {"\\X", "the escape \\X"},
      {"\\K", "the escape \\K"},
      {"\\p{Klingon}", "the unknown property Klingon"},
      {"[[:klingon:]]", "the unknown class"},
      {"[z-a]", "a bad range in a set"},
      {"(?x: a)", "an unknown group or option"},
      {"(?(1)a|b)", "an unknown group or option"},
      {"(?i:ß)", "folds to several"},
      {"(?i:st)", "folds to several"},  // as U+FB06 does
      {"\\x{110000}", "a bad hexadecimal character"},
      {"\\xE9", "\\x above 7F without braces"},
      {"a\xFF", "invalid byte"},
  };
  for (const RefusedExpression& each : refused) {
    const auto pattern = Pattern::Regex(each.expression);
    ASSERT_EQ(pattern.status().code(), absl::StatusCode::kInvalidArgument) << each.expression;
    EXPECT_THAT(std::string(pattern.status().message()), HasSubstr(each.complaint))
        << each.expression;
  }
  EXPECT_FALSE(Pattern::Regex(std::string(200, '(') + std::string(200, ')')).ok());
  EXPECT_FALSE(Pattern::Regex(std::string(70000, 'a')).ok());
}

TEST(PatternTest, SearchThatExplodesEndsWithResourceExhausted) {
  const auto pattern = Pattern::Regex("(a|a|aa)+$");
  ASSERT_TRUE(pattern.ok());
  Pattern::Scratch scratch;
  std::vector<Pattern::Match> matches;
  const absl::Status status = pattern->FindAll(std::string(5000, 'a') + "b", &scratch, &matches);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

TEST(PatternTest, LiteralsAreNoExpressions) {
  EXPECT_EQ(Replaced(Pattern::Literal("a."), "aba.a"), "ab#a");
  EXPECT_EQ(Replaced(Pattern::Literal(""), "é€"), "#é#€#");
}

}  // namespace
}  // namespace chorus::engine
