// chorus cancel and chorus drain: the end of a generation, and of a server's service.
#ifndef CHORUS_SERVER_CLI_LIFECYCLE_COMMANDS_H_
#define CHORUS_SERVER_CLI_LIFECYCLE_COMMANDS_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunCancelCommand(const Args& args, const Console& console);
ExitCode RunDrainCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_LIFECYCLE_COMMANDS_H_
