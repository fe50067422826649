// Files that may be lost at any time and are worth keeping on this machine: $XDG_CACHE_HOME/chorus,
// or $HOME/.cache/chorus.
#ifndef CHORUS_SERVER_DEVICE_CACHE_FILE_H_
#define CHORUS_SERVER_DEVICE_CACHE_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace chorus::server {

// The path for a file of this name, in a directory that is there and can be written: it is made
// when it is not. FailedPrecondition, saying what was tried, when there can be none.
absl::StatusOr<std::string> CacheFile(const std::string& name);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_DEVICE_CACHE_FILE_H_
