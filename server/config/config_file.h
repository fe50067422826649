// The configuration as chorus.v1.Config: read from a file, laid over a ServerConfig, and written.
#ifndef CHORUS_SERVER_CONFIG_CONFIG_FILE_H_
#define CHORUS_SERVER_CONFIG_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "chorus/v1/config.pb.h"
#include "server/config/server_config.h"

namespace chorus::server {

// JSON when the first character that is not blank is '{', otherwise Protobuf's text format.
// InvalidArgument with file and place for what does not parse, NotFound and others for a file that
// cannot be read.
absl::StatusOr<v1::Config> ReadConfigFile(const std::string& path);

// Sets what `file` sets; one line in `problems`, beginning with `source`, for a value that is none.
void ApplyConfig(const v1::Config& file, const std::string& source, ServerConfig* config,
                 std::vector<std::string>* problems);

// Every field that has a value.
v1::Config ToConfigProto(const ServerConfig& config);

// The same as text, one field a line, as ReadConfigFile takes it.
std::string ToConfigText(const ServerConfig& config);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_CONFIG_FILE_H_
