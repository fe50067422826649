// chorus generate: one prompt, answered by one model or by several at the same time.
#ifndef CHORUS_SERVER_CLI_GENERATE_H_
#define CHORUS_SERVER_CLI_GENERATE_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunGenerateCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_GENERATE_H_
