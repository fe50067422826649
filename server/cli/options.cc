#include "server/cli/options.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "kernels/status_macros.h"

namespace chorus::cli {
namespace {

absl::Status Wanted(absl::string_view what, absl::string_view got) {
  return absl::InvalidArgumentError(absl::StrCat("wants ", what, ", got \"", got, "\""));
}

}  // namespace

OptionSet::OptionSet(std::string usage, std::string about, size_t min_words, size_t max_words)
    : usage_(std::move(usage)),
      about_(std::move(about)),
      min_words_(min_words),
      max_words_(max_words) {}

absl::Status OptionSet::ParseValue(absl::string_view text, std::string* value) {
  *value = std::string(text);
  return absl::OkStatus();
}

absl::Status OptionSet::ParseValue(absl::string_view text, int32_t* value) {
  return absl::SimpleAtoi(text, value) ? absl::OkStatus() : Wanted("a whole number", text);
}

absl::Status OptionSet::ParseValue(absl::string_view text, int64_t* value) {
  return absl::SimpleAtoi(text, value) ? absl::OkStatus() : Wanted("a whole number", text);
}

absl::Status OptionSet::ParseValue(absl::string_view text, uint64_t* value) {
  return absl::SimpleAtoi(text, value) ? absl::OkStatus()
                                       : Wanted("a whole number from 0 on", text);
}

absl::Status OptionSet::ParseValue(absl::string_view text, float* value) {
  return absl::SimpleAtof(text, value) ? absl::OkStatus() : Wanted("a number", text);
}

absl::Status OptionSet::ParseValue(absl::string_view text, absl::Duration* value) {
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    *value = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, value)) {
    return Wanted("a time like 30s or 500ms", text);
  }
  if (*value > absl::ZeroDuration() && *value < absl::Hours(24 * 365)) return absl::OkStatus();
  return Wanted("a time above zero", text);
}

void OptionSet::AddParser(std::string name, std::string value, std::string help, Parser parser) {
  options_.push_back({std::move(name), std::move(value), std::move(help), std::move(parser)});
}

void OptionSet::Add(std::string name, std::string value, std::string help, std::string* target) {
  AddValue(std::move(name), std::move(value), std::move(help), target);
}
void OptionSet::Add(std::string name, std::string value, std::string help, int32_t* target) {
  AddValue(std::move(name), std::move(value), std::move(help), target);
}
void OptionSet::Add(std::string name, std::string value, std::string help, int64_t* target) {
  AddValue(std::move(name), std::move(value), std::move(help), target);
}
void OptionSet::Add(std::string name, std::string value, std::string help, uint64_t* target) {
  AddValue(std::move(name), std::move(value), std::move(help), target);
}
void OptionSet::Add(std::string name, std::string value, std::string help, float* target) {
  AddValue(std::move(name), std::move(value), std::move(help), target);
}
void OptionSet::Add(std::string name, std::string value, std::string help, absl::Duration* target) {
  AddValue(std::move(name), std::move(value), std::move(help), target);
}

void OptionSet::Add(std::string name, std::string value, std::string help,
                    std::vector<std::string>* target) {
  AddParser(std::move(name), std::move(value), std::move(help), [target](absl::string_view text) {
    target->emplace_back(text);
    return absl::OkStatus();
  });
}

void OptionSet::AddSwitch(std::string name, std::string help, bool* target) {
  AddParser(std::move(name), "", std::move(help), [target](absl::string_view) {
    *target = true;
    return absl::OkStatus();
  });
}

absl::Status OptionSet::ApplyFlag(const Args& args, size_t* at) const {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(args[*at], absl::MaxSplits('=', 1));
  const std::string& name = parts.first;
  const bool has_value = absl::StrContains(args[*at], '=');
  const auto option = std::find_if(options_.begin(), options_.end(),
                                   [&](const Option& known) { return known.name == name; });
  if (option == options_.end()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no flag ", name));
  }
  absl::Status status;
  if (option->value.empty()) {
    if (has_value) return absl::InvalidArgumentError(absl::StrCat(name, " takes no value"));
    status = option->parser("");
  } else if (has_value) {
    status = option->parser(parts.second);
  } else if (*at + 1 < args.size()) {
    status = option->parser(args[++*at]);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(name, " wants a value: ", option->value));
  }
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(name, " ", status.message()));
}

absl::Status OptionSet::Fill(const Args& args, Args* words, bool* help) const {
  bool flags_end = false;
  for (size_t at = 0; at < args.size(); ++at) {
    const std::string& arg = args[at];
    if (flags_end || arg.size() < 2 || arg[0] != '-') {
      words->push_back(arg);
    } else if (arg == "--") {
      flags_end = true;
    } else if (arg == "--help" || arg == "-h") {
      *help = true;
      return absl::OkStatus();
    } else {
      CHORUS_RETURN_IF_ERROR(ApplyFlag(args, &at));
    }
  }
  if (words->size() < min_words_) {
    return absl::InvalidArgumentError(absl::StrCat("something is missing; usage: ", usage_));
  }
  if (words->size() > max_words_) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", (*words)[max_words_], "\" is one word too many; usage: ", usage_));
  }
  return absl::OkStatus();
}

OptionSet::Parsed OptionSet::Parse(const Args& args, const Console& console) const {
  Parsed parsed;
  bool help = false;
  const absl::Status status = Fill(args, &parsed.words, &help);
  if (help) {
    console.out->Write(Help());
    parsed.exit = ExitCode::kOk;
  } else if (!status.ok()) {
    const size_t end = usage_.find(" [");
    parsed.exit = UsageError(console, absl::string_view(usage_).substr(0, end), status.message());
  }
  return parsed;
}

std::string OptionSet::Help() const {
  std::string text = absl::StrCat("usage: ", usage_, "\n\n", about_, "\n");
  size_t width = 0;
  const auto left = [](const Option& option) {
    return absl::StrCat("  ", option.name, option.value.empty() ? "" : " ", option.value);
  };
  for (const Option& option : options_) width = std::max(width, left(option).size());
  if (!options_.empty()) absl::StrAppend(&text, "\n");
  for (const Option& option : options_) {
    std::string line = left(option);
    line.resize(width + 2, ' ');
    absl::StrAppend(&text, line,
                    absl::StrReplaceAll(option.help, {{"\n", "\n" + std::string(width + 2, ' ')}}),
                    "\n");
  }
  return text;
}

ExitCode UsageError(const Console& console, absl::string_view command, absl::string_view what) {
  console.err->Write(absl::StrCat("chorus: ", what, "\n  see ", command, " --help\n"));
  return ExitCode::kUsage;
}

}  // namespace chorus::cli
