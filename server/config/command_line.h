// What chorusd's command line asks for: flags, and the configuration file that `--config` names.
// Flags win over the file, the file over the defaults.
#ifndef CHORUS_SERVER_CONFIG_COMMAND_LINE_H_
#define CHORUS_SERVER_CONFIG_COMMAND_LINE_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace chorus::server {

inline constexpr char kVersion[] = CHORUS_VERSION;

struct CommandLine {
  // Of several the last here counts.
  enum class Action {
    kRun,
    kCheck,    // --check-config: the configuration is good
    kVersion,  // --version
    kHelp,     // --help
  };
  Action action = Action::kRun;
  ServerConfig config;  // resolved and validated; kRun and kCheck
  std::string text;     // for standard output, with its newline; all but kRun
};

// `argv[0]` is the program. InvalidArgument with one line for each thing that is wrong.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_COMMAND_LINE_H_
