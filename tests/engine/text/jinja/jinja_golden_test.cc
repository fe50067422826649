// Our own templates, a file for each construct, against what jinja2 makes of them in transformers'
// set-up. tests/golden/chat/make_jinja_goldens.py made the files and says what is in them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/text/jinja/jinja.h"
#include "gtest/gtest.h"

namespace chorus::jinja {
namespace {

std::string DataDir() { return std::string(CHORUS_SOURCE_DIR) + "/tests/golden/data/jinja"; }

std::vector<std::string> Files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(DataDir())) {
    names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> Rendered(const std::string& source, const Json& context,
                                     absl::Time now) {
  const auto parsed = Template::Parse(source);
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(context, {.now = [now] { return now; }, .zone = absl::UTCTimeZone()});
}

// What a case wants of a refusal: the line where it names one, and its own words as the message.
void ExpectRefused(const Json& expected, const absl::Status& status) {
  const std::string message(status.message());
  if (expected.contains("line")) {
    const std::string start = absl::StrCat("line ", expected["line"].get<int>(), ": ");
    EXPECT_EQ(message.substr(0, start.size()), start) << message;
  }
  if (expected.contains("refusal")) {
    EXPECT_EQ(message.substr(std::min(message.size(), message.find(": ") + 2)),
              expected["refusal"].get<std::string>());
  }
}

class JinjaGoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(JinjaGoldenTest, RendersAsJinja2) {
  std::ifstream in(DataDir() + "/" + GetParam() + ".json");
  const Json file = Json::parse(in, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(file.is_object());
  ASSERT_FALSE(file["cases"].empty());
  const absl::Time now = absl::FromUnixMicros(file["now_us"].get<int64_t>());
  for (const Json& expected : file["cases"]) {
    SCOPED_TRACE(absl::StrCat(expected["name"].get<std::string>(), "\n",
                              expected["template"].get<std::string>()));
    const auto got =
        Rendered(expected["template"],
                 expected.contains("context") ? expected["context"] : file["context"], now);
    if (!expected.contains("output")) {
      EXPECT_FALSE(got.ok()) << *got;
      if (!got.ok()) ExpectRefused(expected, got.status());
    } else {
      EXPECT_EQ(got.value_or(got.status().ToString()), expected["output"].get<std::string>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Constructs, JinjaGoldenTest, testing::ValuesIn(Files()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace chorus::jinja
