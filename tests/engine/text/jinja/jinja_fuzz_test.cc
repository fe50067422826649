// Whatever the template: no crash, an answer within the limits, and the same answer twice.
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/text/jinja/jinja.h"
#include "gtest/gtest.h"
#include "tests/engine/text/jinja/template_maker.h"

namespace chorus::jinja {
namespace {

// CHORUS_JINJA_SEED asks for other templates.
uint64_t Seed() {
  const char* const text = std::getenv("CHORUS_JINJA_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

#ifdef CHORUS_SANITIZED
constexpr int kRounds = 2'500;
#else
constexpr int kRounds = 10'000;
#endif

// Small, so that limits are met often and a round is short.
constexpr Limits kSmall = {
    .max_parse_depth = 60,
    .max_call_depth = 120,
    .max_value_depth = 30,
    .max_steps = 3'000,
    .max_output_bytes = 5'000,
    .max_created_bytes = 50'000,
};

Json GoldenFile(const std::string& name) {
  std::ifstream in(std::string(CHORUS_SOURCE_DIR) + "/tests/golden/data/jinja/" + name + ".json");
  return Json::parse(in, nullptr, /*allow_exceptions=*/false);
}

std::vector<std::string> GoldenTemplates() {
  std::vector<std::string> templates;
  for (const char* name : {"scoping", "loops", "macros", "blocks", "whitespace", "errors"}) {
    const Json file = GoldenFile(name);
    for (const Json& entry : file["cases"]) {
      templates.push_back(entry["template"].get<std::string>());
    }
  }
  return templates;
}

struct Tally {
  int parsed = 0;
  int rendered = 0;
  int limited = 0;
};

class JinjaFuzzTest : public testing::Test {
 protected:
  JinjaFuzzTest() : context_(GoldenFile("loops")["context"]), maker_(Seed(), GoldenTemplates()) {}

  void Try(const std::string& source) {
    SCOPED_TRACE(absl::StrCat("seed ", Seed(), ": ", source));
    const auto parsed = Template::Parse(source, kSmall);
    if (!parsed.ok()) {
      EXPECT_TRUE(absl::StartsWith(parsed.status().message(), "line ")) << parsed.status();
      return;
    }
    ++tally_.parsed;
    const Template::Environment environment = {.now = [] { return absl::UnixEpoch(); }};
    const auto first = parsed->Render(context_, environment);
    const auto second = parsed->Render(context_, environment);
    EXPECT_EQ(first.status(), second.status());
    if (!first.ok()) {
      EXPECT_TRUE(absl::StartsWith(first.status().message(), "line ")) << first.status();
      tally_.limited += absl::IsResourceExhausted(first.status()) ? 1 : 0;
      return;
    }
    ++tally_.rendered;
    EXPECT_LE(static_cast<int64_t>(first->size()), kSmall.max_output_bytes);
    EXPECT_EQ(*first, *second);
  }

  const Json context_;
  TemplateMaker maker_;
  Tally tally_;
};

TEST_F(JinjaFuzzTest, AnyBytes) {
  for (int i = 0; i < 2 * kRounds; ++i) Try(maker_.Bytes());
}

TEST_F(JinjaFuzzTest, TokensInAnyOrder) {
  for (int i = 0; i < 2 * kRounds; ++i) Try(maker_.Soup());
  EXPECT_GT(tally_.parsed, kRounds / 100);
}

TEST_F(JinjaFuzzTest, MutantsOfGoodTemplates) {
  for (int i = 0; i < 2 * kRounds; ++i) Try(maker_.Mutant());
  EXPECT_GT(tally_.rendered, kRounds / 10);
}

TEST_F(JinjaFuzzTest, StatementsThatParse) {
  for (int i = 0; i < kRounds; ++i) Try(maker_.Written());
  EXPECT_EQ(tally_.parsed, kRounds);
  EXPECT_GT(tally_.rendered, kRounds / 20);
  EXPECT_GT(tally_.limited, kRounds / 500);
}

}  // namespace
}  // namespace chorus::jinja
