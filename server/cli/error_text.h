// A failed call in words: what was refused, what would have done, what came, what to do now.
#ifndef CHORUS_SERVER_CLI_ERROR_TEXT_H_
#define CHORUS_SERVER_CLI_ERROR_TEXT_H_

#include <grpcpp/support/status.h>

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "chorus/v1/error.pb.h"
#include "server/cli/console.h"
#include "server/cli/exit_code.h"

namespace chorus::cli {

// What the server sent in grpc-status-details-bin; nullopt when it sent nothing readable.
std::optional<v1::ErrorDetail> DetailOf(const grpc::Status& status);

// kUnreachable when there was no server to refuse the call, else kRefused. REQUIRES: not OK.
ExitCode ExitCodeOf(const grpc::Status& status);

// "NOT_FOUND"
std::string CodeName(grpc::StatusCode code);

// One line, for where there is little room.
std::string ErrorLine(const grpc::Status& status, const std::string& address);
// All of it, in lines that end with "\n".
std::string ErrorText(const grpc::Status& status, const std::string& address);
nlohmann::ordered_json ErrorJson(const grpc::Status& status);

// Says it on the console, of `subject` where there are several, and returns ExitCodeOf.
ExitCode ReportError(const Console& console, const grpc::Status& status, const std::string& address,
                     const std::string& subject = "");

// Of many calls: a line for each error and how often it came, up to a few.
void ReportProblems(const std::map<std::string, int64_t>& problems, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_ERROR_TEXT_H_
