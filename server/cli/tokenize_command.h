// chorus tokenize: what the model sees of a text.
#ifndef CHORUS_SERVER_CLI_TOKENIZE_COMMAND_H_
#define CHORUS_SERVER_CLI_TOKENIZE_COMMAND_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunTokenizeCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_TOKENIZE_COMMAND_H_
