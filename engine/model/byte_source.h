// Random-access bytes of a file. Read with pread, never mapped: a file that shrinks under us gives
// a Status, not a signal.
#ifndef CHORUS_ENGINE_MODEL_BYTE_SOURCE_H_
#define CHORUS_ENGINE_MODEL_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace chorus::engine {

// Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Fills `out` from `offset`. DataLoss when the bytes end early or cannot be read.
  virtual absl::Status Read(uint64_t offset, std::span<std::byte> out) const = 0;
};

// A regular file, opened for reading. NotFound, PermissionDenied or FailedPrecondition (not a
// regular file), naming the path.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path);

// Bytes in memory, borrowed.
std::unique_ptr<ByteSource> BorrowBytes(std::span<const std::byte> bytes);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_BYTE_SOURCE_H_
