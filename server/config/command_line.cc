#include "server/config/command_line.h"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/refusal.h"
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
  }

  // --help wins over --version, both over --check-config.
  bool TakeAction(const std::string& name, const std::optional<std::string>& value) {
    static const std::vector<std::pair<std::string, Action>> actions = {
        {"check-config", Action::kCheck}, {"version", Action::kVersion}, {"help", Action::kHelp}};
    const auto rank = [](Action action) {
      return action == Action::kHelp      ? 3
             : action == Action::kVersion ? 2
             : action == Action::kCheck   ? 1
                                          : 0;
    };
    for (const auto& [word, action] : actions) {
      if (name != word) continue;
      if (value.has_value()) Complain(absl::StrCat("--", name, ": takes no value"));
      if (rank(action) > rank(arguments_.action)) arguments_.action = action;
      return true;
    }
    return false;
  }

  std::optional<std::string> TakeValue(const std::string& name,
                                       const std::optional<std::string>& value) {
    if (value.has_value()) return value;
    if (next_ < words_.size() && !absl::StartsWith(words_[next_], "--")) return words_[next_++];
    Complain(absl::StrCat("--", name, ": expected a value"));
    return std::nullopt;
  }

  const std::vector<std::string> words_;
  size_t next_ = 0;
  Arguments arguments_;
};

void ApplyFile(const std::string& path, ServerConfig* config, std::vector<std::string>* problems) {
  const absl::StatusOr<v1::Config> file = ReadConfigFile(path);
  if (file.ok()) {
    ApplyConfig(*file, path, config, problems);
  } else {
    problems->emplace_back(file.status().message());
  }
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
  std::vector<std::string> problems = std::move(arguments.problems);
  if (arguments.config_file.has_value()) {
    ApplyFile(*arguments.config_file, &line.config, &problems);
  }
  for (const auto& [option, value] : arguments.values) {
    if (option->parse(value, &line.config)) continue;
    problems.emplace_back(engine::Refuse(engine::Reason::kValueOutOfRange, option->flag(),
                                         option->expected, engine::Quoted(value))
                              .message());
  }
  line.config.Resolve();
  const absl::Status valid = line.config.Validate();
  if (!valid.ok()) problems.emplace_back(valid.message());
  if (!problems.empty()) return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  if (line.action == Action::kCheck) line.text = ToConfigText(line.config);
  return line;
}

}  // namespace chorus::server
