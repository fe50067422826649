// Reads a whole file of a model directory.
#ifndef CHORUS_ENGINE_TEXT_FILE_BYTES_H_
#define CHORUS_ENGINE_TEXT_FILE_BYTES_H_

#include <string>

#include "absl/status/statusor.h"

namespace chorus::engine {

// NotFound when there is no such file, ResourceExhausted above `max_bytes`, Unavailable when
// reading fails.
absl::StatusOr<std::string> ReadFileBytes(const std::string& path, int64_t max_bytes);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_FILE_BYTES_H_
