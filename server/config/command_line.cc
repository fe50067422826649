#include "server/config/command_line.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"
#include "server/config/config_file.h"
#include "server/config/help_text.h"
#include "server/config/nearest_name.h"
#include "server/config/options.h"

namespace chorus::server {
namespace {

using Action = CommandLine::Action;

// What stands on the command line, before any value is looked at.
struct Arguments {
  Action action = Action::kRun;
  std::optional<std::string> config_file;
  std::vector<std::pair<const Option*, std::string>> values;  // in their order
  std::vector<std::string> problems;
};

std::string NoSuchFlag(const std::string& name) {
  std::vector<std::string> names = {"config", "check-config", "version", "help"};
  for (const Option& option : AllOptions()) {
    names.push_back(option.flag().substr(2));
    if (option.is_switch()) names.push_back("no-" + names.back());
  }
  const std::string nearest = NearestName(name, names);
  const std::string hint = nearest.empty() ? "; see --help" : "; did you mean --" + nearest + "?";
  return absl::StrCat("--", name, ": no such flag", hint);
}

// Reads argv once, from left to right.
class Scanner {
 public:
  Scanner(int argc, const char* const* argv) : words_(argv + std::min(argc, 1), argv + argc) {}

  Arguments Scan() {
    while (next_ < words_.size()) {
      const std::string word = words_[next_++];
      if (word == "-h") {
        arguments_.action = Action::kHelp;
      } else if (absl::StartsWith(word, "--") && word.size() > 2) {
        const size_t equals = word.find('=');
        std::optional<std::string> value;
        if (equals != std::string::npos) value = word.substr(equals + 1);
        TakeFlag(word.substr(2, equals == std::string::npos ? equals : equals - 2), value);
      } else {
        Complain(absl::StrCat(engine::Quoted(word), ": expected a flag; see --help"));
      }
    }
    return std::move(arguments_);
  }

 private:
  void Complain(std::string problem) { arguments_.problems.push_back(std::move(problem)); }

  void TakeFlag(const std::string& name, std::optional<std::string> value) {
    if (TakeAction(name, value)) return;
    if (name == "config") {
      if (arguments_.config_file.has_value()) Complain("--config: expected one file, got two");
      arguments_.config_file = TakeValue(name, value);
      return;
    }
    const Option* option = FindOption(name);
    if (option != nullptr && !absl::StrContains(name, '_')) {
      if (option->is_switch() && !value.has_value()) value = "true";
      const std::optional<std::string> given = TakeValue(name, value);
      if (given.has_value()) arguments_.values.emplace_back(option, *given);
      return;
    }
    const Option* negated = absl::StartsWith(name, "no-") ? FindOption(name.substr(3)) : nullptr;
    if (negated != nullptr && negated->is_switch() && !value.has_value()) {
      arguments_.values.emplace_back(negated, "false");
      return;
    }
    Complain(NoSuchFlag(name));
    // What follows was most likely meant for it.
    if (!value.has_value() && AtValue() && words_[next_][0] != '-') ++next_;
  }

  bool AtValue() const { return next_ < words_.size() && !absl::StartsWith(words_[next_], "--"); }

  // --help wins over --version, both over --check-config: as they are numbered.
  bool TakeAction(const std::string& name, const std::optional<std::string>& value) {
    Action action;
    if (name == "help") {
      action = Action::kHelp;
    } else if (name == "version") {
      action = Action::kVersion;
    } else if (name == "check-config") {
      action = Action::kCheck;
    } else {
      return false;
    }
    if (value.has_value()) Complain(absl::StrCat("--", name, ": takes no value"));
    arguments_.action = std::max(arguments_.action, action);
    return true;
  }

  std::optional<std::string> TakeValue(const std::string& name,
                                       const std::optional<std::string>& value) {
    if (value.has_value()) return value;
    if (AtValue()) return words_[next_++];
    Complain(absl::StrCat("--", name, ": expected a value"));
    return std::nullopt;
  }

  const std::vector<std::string> words_;
  size_t next_ = 0;
  Arguments arguments_;
};

void ApplyFlags(const Arguments& arguments, ServerConfig* config,
                std::vector<std::string>* problems) {
  for (const auto& [option, value] : arguments.values) {
    if (option->parse(value, config)) continue;
    problems->emplace_back(engine::Refuse(engine::Reason::kValueOutOfRange, option->flag(),
                                          option->expected, engine::Quoted(value))
                               .message());
  }
}

// Everything that is wrong at once; but when the file cannot be read, no guesses at what it says.
absl::StatusOr<ServerConfig> Configure(Arguments arguments) {
  std::vector<std::string> problems = std::move(arguments.problems);
  ServerConfig config;
  bool complete = true;
  if (arguments.config_file.has_value()) {
    const std::string& path = *arguments.config_file;
    const absl::StatusOr<v1::Config> file = ReadConfigFile(path);
    complete = file.ok();
    if (file.ok()) ApplyConfig(*file, path, &config, &problems);
    if (!file.ok()) problems.emplace_back(file.status().message());
  }
  ApplyFlags(arguments, &config, &problems);
  config.Resolve();
  const absl::Status valid = complete ? config.Validate() : absl::OkStatus();
  if (!valid.ok()) problems.emplace_back(valid.message());
  if (!problems.empty()) return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  return config;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  Arguments arguments = Scanner(argc, argv).Scan();
  CommandLine line;
  line.action = arguments.action;
  if (line.action == Action::kHelp) {
    line.text = HelpText();
    return line;
  }
  if (line.action == Action::kVersion) {
    line.text = absl::StrCat("chorusd ", kVersion, "\n");
    return line;
  }
  CHORUS_ASSIGN_OR_RETURN(line.config, Configure(std::move(arguments)));
  if (line.action == Action::kCheck) line.text = ToConfigText(line.config);
  return line;
}

}  // namespace chorus::server
