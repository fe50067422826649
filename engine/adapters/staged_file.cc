#include "engine/adapters/staged_file.h"

#include <utility>

#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

absl::StatusOr<std::unique_ptr<StagedFile>> StagedFile::Create(FileSystem* files, std::string path,
                                                               uint64_t announced_bytes,
                                                               bool hashed) {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, files->Create(path));
  std::unique_ptr<StagedFile> staged(
      new StagedFile(files, std::move(path), std::move(file), hashed));
  CHORUS_RETURN_IF_ERROR(staged->file_->Allocate(announced_bytes));
  return staged;
}

StagedFile::~StagedFile() {
  file_.reset();
  // What cannot be removed now is swept at the next start.
  if (!path_.empty()) files_->Unlink(path_).IgnoreError();
}

absl::Status StagedFile::Append(std::string_view bytes) {
  CHORUS_RETURN_IF_ERROR(file_->Append(bytes));
  if (hashed_) hash_.Add(bytes);
  bytes_ += bytes.size();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ByteSource>> StagedFile::OpenForReading() const {
  return files_->Open(path_);
}

const std::string& StagedFile::Finish() {
  CHORUS_CHECK(hashed_);
  if (sha256_.empty()) sha256_ = hash_.FinishHex();
  return sha256_;
}

absl::Status StagedFile::Close() {
  const std::unique_ptr<WritableFile> file = std::move(file_);
  return file->Close();
}

absl::Status StagedFile::RenameTo(const std::string& path) {
  CHORUS_RETURN_IF_ERROR(files_->Rename(path_, path));
  path_.clear();
  return absl::OkStatus();
}

}  // namespace chorus::engine
