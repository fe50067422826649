// chorus status: what is served, whether it is ready, and how busy it is.
#ifndef CHORUS_SERVER_CLI_STATUS_COMMAND_H_
#define CHORUS_SERVER_CLI_STATUS_COMMAND_H_

#include <string>

#include "chorus/v1/admin.pb.h"
#include "server/cli/options.h"

namespace chorus::cli {

ExitCode RunStatusCommand(const Args& args, const Console& console);

// The command's text. `health` is grpc.health.v1's word.
std::string StatusText(const std::string& address, const v1::ServerInfo& info, const v1::Load& load,
                       const std::string& health);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_STATUS_COMMAND_H_
