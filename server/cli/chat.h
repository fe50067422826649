// chorus chat: a conversation with one model.
#ifndef CHORUS_SERVER_CLI_CHAT_H_
#define CHORUS_SERVER_CLI_CHAT_H_

#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunChatCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_CHAT_H_
