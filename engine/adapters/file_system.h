// FileSystem: the few calls that the store makes, behind an interface, so that tests can fail each
// of them and build every state that a power cut may leave.
//
// A FileSystem is one directory tree. Paths are relative to its root and made of our own components
// ("objects/ab/abcd…"), never of a client's text; each component is opened below the directory
// before it, and symbolic links are not followed.
#ifndef CHORUS_ENGINE_ADAPTERS_FILE_SYSTEM_H_
#define CHORUS_ENGINE_ADAPTERS_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/byte_source.h"

namespace chorus::engine {

// A new file, written once from its beginning. One thread at a time.
class WritableFile {
 public:
  // Closes; whoever needs the result calls Close.
  virtual ~WritableFile() = default;
  // Reserves room beyond the end without changing the size, so that a full disk shows early.
  virtual absl::Status Allocate(uint64_t bytes) = 0;
  // All of it, or an error.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // The bytes are durable; the name is not, before SyncDirectory.
  virtual absl::Status Sync() = 0;
  virtual absl::Status Close() = 0;
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
};

struct FileStat {
  uint64_t bytes = 0;
  bool is_directory = false;
};

// Thread-safe. Errors name the path: NotFound, AlreadyExists, ResourceExhausted (no room, no quota,
// no descriptors), DataLoss (reading failed), FailedPrecondition (not what was expected there: a
// link, a directory that is not empty), else Unavailable.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // An advisory lock on a file of this name, held until the FileSystem goes. Unavailable when
  // another process holds it.
  virtual absl::Status Lock(const std::string& path) = 0;
  // A new file that only its owner can read. AlreadyExists when something has the name.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // A regular file for reading. What is open stays readable when its name goes.
  virtual absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) = 0;
  // Atomic; replaces what has the name `to`.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Unlink(const std::string& path) = 0;
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;
  // The names in the directory are durable ("." is the root).
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  virtual absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& path) = 0;
  virtual absl::StatusOr<FileStat> Stat(const std::string& path) = 0;
  // Forgets cached bytes of a file that is clean, so that the next read asks the disk.
  virtual absl::Status DropCache(const std::string& path) = 0;

  virtual absl::StatusOr<uint64_t> FreeBytes() = 0;
  // The kind of file system when a restart may empty it ("tmpfs", "overlayfs"), else "".
  virtual absl::StatusOr<std::string> VolatileKind() = 0;
};

// The tree below `root`, which is created when only its last component is missing.
absl::StatusOr<std::unique_ptr<FileSystem>> OpenFileSystem(const std::string& root);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_FILE_SYSTEM_H_
