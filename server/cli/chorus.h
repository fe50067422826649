// The program apart from main: which command, and the help that leads to each.
#ifndef CHORUS_SERVER_CLI_CHORUS_H_
#define CHORUS_SERVER_CLI_CHORUS_H_

#include "server/cli/options.h"

namespace chorus::cli {

// REQUIRES: args without the program's own name.
ExitCode RunChorus(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_CHORUS_H_
