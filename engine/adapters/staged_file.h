// StagedFile: a private file on its way into the store, hashed while it is written. Dropping it
// removes it, so that whatever fails leaves nothing behind.
#ifndef CHORUS_ENGINE_ADAPTERS_STAGED_FILE_H_
#define CHORUS_ENGINE_ADAPTERS_STAGED_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/adapters/file_system.h"
#include "engine/adapters/sha256.h"
#include "engine/model/byte_source.h"

namespace chorus::engine {

// One thread at a time. The file system outlives it.
class StagedFile {
 public:
  // Reserves `announced_bytes` of room. Without `hashed` there is no Finish.
  static absl::StatusOr<std::unique_ptr<StagedFile>> Create(FileSystem* files, std::string path,
                                                            uint64_t announced_bytes,
                                                            bool hashed = true);
  ~StagedFile();

  absl::Status Append(std::string_view bytes);
  uint64_t bytes() const { return bytes_; }

  // The bytes written so far.
  absl::StatusOr<std::unique_ptr<ByteSource>> OpenForReading() const;

  // Ends the writing. 64 hexadecimal digits of SHA-256 of all bytes.
  const std::string& Finish();

  // REQUIRES: Finish was called.
  absl::Status Sync() { return file_->Sync(); }
  absl::Status Close();
  // The file gets its name and is staged no more.
  absl::Status RenameTo(const std::string& path);

 private:
  StagedFile(FileSystem* files, std::string path, std::unique_ptr<WritableFile> file, bool hashed)
      : files_(files), hashed_(hashed), path_(std::move(path)), file_(std::move(file)) {}

  FileSystem* const files_;
  const bool hashed_;
  std::string path_;  // empty once renamed
  std::unique_ptr<WritableFile> file_;
  Sha256 hash_;
  std::string sha256_;
  uint64_t bytes_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STAGED_FILE_H_
