// chorus tokenize, cancel, drain.
#ifndef CHORUS_SERVER_CLI_SMALL_COMMANDS_H_
#define CHORUS_SERVER_CLI_SMALL_COMMANDS_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunTokenizeCommand(const Args& args, const Console& console);
ExitCode RunCancelCommand(const Args& args, const Console& console);
ExitCode RunDrainCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_SMALL_COMMANDS_H_
