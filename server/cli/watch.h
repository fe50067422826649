// chorus adapters watch: every change of the server's adapters, one a line.
#ifndef CHORUS_SERVER_CLI_WATCH_H_
#define CHORUS_SERVER_CLI_WATCH_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunWatchCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_WATCH_H_
