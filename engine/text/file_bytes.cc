#include "engine/text/file_bytes.h"

#include <filesystem>
#include <fstream>

#include "engine/text/str_cat.h"

namespace chorus::engine {

absl::StatusOr<std::string> ReadFileBytes(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(StrCat(path, ": no such file"));
  }
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (error) return absl::UnavailableError(StrCat(path, ": ", error.message()));
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(
        StrCat(path, ": ", size, " bytes, want at most ", max_bytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string bytes(static_cast<size_t>(size), '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    return absl::UnavailableError(StrCat(path, ": reading failed"));
  }
  return bytes;
}

}  // namespace chorus::engine
