// chorus adapters list, get, delete, pin, unpin.
#ifndef CHORUS_SERVER_CLI_ADAPTER_COMMANDS_H_
#define CHORUS_SERVER_CLI_ADAPTER_COMMANDS_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunListCommand(const Args& args, const Console& console);
ExitCode RunGetCommand(const Args& args, const Console& console);
ExitCode RunDeleteCommand(const Args& args, const Console& console);
ExitCode RunPinCommand(const Args& args, const Console& console);
ExitCode RunUnpinCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_ADAPTER_COMMANDS_H_
