#include "server/config/help_text.h"

#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/config/options.h"

namespace chorus::server {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kTextColumn = 33;

// A flag on the left, its text on the right, broken between words; `note` stays in one piece.
void AppendEntry(const std::string& left, const std::string& text, const std::string& note,
                 std::string* out) {
  std::string line = "  " + left;
  if (line.size() + 2 > kTextColumn) {
    absl::StrAppend(out, line, "\n");
    line.clear();
  }
  line.resize(kTextColumn, ' ');
  size_t words = 0;  // on this line
  std::vector<std::string> pieces = absl::StrSplit(text, ' ');
  if (!note.empty()) pieces.push_back(absl::StrCat("[", note, "]"));
  for (const std::string& word : pieces) {
    if (words > 0 && line.size() + 1 + word.size() > kColumns) {
      absl::StrAppend(out, line, "\n");
      line.assign(kTextColumn, ' ');
      words = 0;
    }
    absl::StrAppend(&line, words == 0 ? "" : " ", word);
    ++words;
  }
  absl::StrAppend(out, line, "\n");
}

bool IsOn(const Option& option) { return option.is_switch() && option.default_text() == "true"; }

std::string LeftSide(const Option& option) {
  if (!option.is_switch()) return absl::StrCat(option.flag(), " ", option.value);
  return IsOn(option) ? absl::StrCat("--[no-]", option.flag().substr(2)) : option.flag();
}

// Range and default.
std::string Note(const Option& option) {
  if (option.is_switch()) return IsOn(option) ? "default on" : "";
  std::vector<std::string> parts;
  if (!option.range.empty()) parts.push_back(option.range);
  if (!option.default_text().empty()) parts.push_back("default " + option.default_text());
  return absl::StrJoin(parts, "; ");
}

}  // namespace

std::string HelpText() {
  std::string out =
      "chorusd serves a language model and thousands of LoRA adapters over gRPC.\n\n"
      "Usage: chorusd --model DIR [FLAG]…\n"
      "       chorusd --config FILE [FLAG]…\n\n"
      "A flag is written --flag VALUE or --flag=VALUE; a switch --flag or --no-flag. Sizes are\n"
      "written 1GiB, 1.5GB or 1048576. Flags win over the file, the last of two over the first.\n";
  std::string group;
  for (const Option& option : AllOptions()) {
    if (option.group != group) absl::StrAppend(&out, "\n", option.group, "\n");
    group = option.group;
    AppendEntry(LeftSide(option), option.help, Note(option), &out);
  }
  absl::StrAppend(&out, "\nThe program\n");
  AppendEntry("--config FILE",
              "Read this file first: fields of chorus.v1.Config (flags with _ for -), as text "
              "(max_running: 32) or JSON.",
              "", &out);
  AppendEntry("--check-config",
              "Print the configuration that would be used, as text that --config takes, and exit: "
              "0 when it is good, 1 when it is not. Reads no model.",
              "", &out);
  AppendEntry("--version", "Print the version and exit.", "", &out);
  AppendEntry("--help", "Print this and exit.", "", &out);
  return out;
}

}  // namespace chorus::server
