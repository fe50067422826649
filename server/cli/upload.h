// chorus adapters upload: a PEFT directory's two files, announced with sizes and digests, sent in
// pieces.
#ifndef CHORUS_SERVER_CLI_UPLOAD_H_
#define CHORUS_SERVER_CLI_UPLOAD_H_

#include <cstddef>

#include "server/cli/options.h"

namespace chorus::cli {

inline constexpr size_t kUploadPiece = size_t{1} << 20;  // what the server takes in one message

ExitCode RunUploadCommand(const Args& args, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_UPLOAD_H_
