// A file that is read from its beginning as often as needed, and its SHA-256.
#ifndef CHORUS_SERVER_CLI_INPUT_FILE_H_
#define CHORUS_SERVER_CLI_INPUT_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace chorus::cli {

// An open file and its size. One thread at a time.
class InputFile {
 public:
  // NotFound or Unavailable with the path and the system's reason.
  static absl::StatusOr<InputFile> Open(std::string path);

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }

  // Gives the file's bytes from its beginning to `use`, `slice` at a time, until the end or until
  // `use` returns false. Unavailable when reading fails.
  absl::Status Read(size_t slice, absl::FunctionRef<bool(absl::string_view)> use);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  InputFile() = default;

  std::string path_;
  uint64_t size_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

// SHA-256 of all of it, 64 lower-case digits.
absl::StatusOr<std::string> Sha256Hex(InputFile* file);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_INPUT_FILE_H_
