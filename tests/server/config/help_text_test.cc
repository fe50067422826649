#include "server/config/help_text.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/options.h"

namespace chorus::test {
namespace {

using ::testing::HasSubstr;

// Columns, not bytes: the text has a few characters that are not ASCII.
size_t Columns(const std::string& line) {
  size_t columns = 0;
  for (char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return columns;
}

std::vector<std::string> HelpLines() { return absl::StrSplit(server::HelpText(), '\n'); }

// The lines of one flag: its own and those indented below it.
std::vector<std::string> EntryOf(const server::Option& option) {
  const std::string bare = option.flag().substr(2);
  std::vector<std::string> entry;
  for (const std::string& line : HelpLines()) {
    if (!entry.empty() && !absl::StartsWith(line, "      ")) break;
    const std::string flag = line.substr(0, line.find(' ', 2));
    const bool begins = flag == "  --" + bare || flag == "  --[no-]" + bare;
    if (begins || !entry.empty()) entry.push_back(line);
  }
  return entry;
}

TEST(HelpTextTest, FitsAHundredColumns) {
  for (const std::string& line : HelpLines()) {
    EXPECT_LE(Columns(line), 100u) << line;
    EXPECT_FALSE(absl::EndsWith(line, " ")) << line;
  }
}

TEST(HelpTextTest, EachFlagHasItsTextRangeAndDefault) {
  for (const server::Option& option : server::AllOptions()) {
    const std::vector<std::string> entry = EntryOf(option);
    ASSERT_FALSE(entry.empty()) << option.name;
    EXPECT_LE(entry.size(), 3u) << option.name << " is long-winded";
    std::string text;
    for (const std::string& line : entry) absl::StrAppend(&text, line, "\n");
    if (option.is_switch()) {
      EXPECT_EQ(text.find("default on") != std::string::npos, option.default_text() == "true");
      continue;
    }
    EXPECT_THAT(text, HasSubstr(option.flag() + " " + option.value));
    EXPECT_THAT(text, HasSubstr(option.range));
    EXPECT_THAT(text, HasSubstr(option.default_text()));
  }
}

TEST(HelpTextTest, GroupsStandInOrder) {
  const std::string help = server::HelpText();
  size_t last = 0;
  for (const char* group :
       {"\nModel\n", "\nAddresses\n", "\nMemory and compute\n", "\nAdapters\n", "\nScheduling\n",
        "\nServing\n", "\nExperiments\n", "\nThe program\n"}) {
    const size_t at = help.find(group);
    ASSERT_NE(at, std::string::npos) << group;
    EXPECT_GT(at, last) << group;
    EXPECT_EQ(help.find(group, at + 1), std::string::npos) << group << " stands twice";
    last = at;
  }
}

}  // namespace
}  // namespace chorus::test
