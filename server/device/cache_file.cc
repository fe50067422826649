#include "server/device/cache_file.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace chorus::server {
namespace {

// As the XDG base directory specification says: a relative path does not count.
std::filesystem::path FromEnvironment(const char* name) {
  const char* const value = std::getenv(name);
  const std::filesystem::path path = value == nullptr ? "" : value;
  return path.is_absolute() ? path : "";
}

}  // namespace

absl::StatusOr<std::string> CacheFile(const std::string& name) {
  std::filesystem::path directory = FromEnvironment("XDG_CACHE_HOME");
  if (directory.empty()) {
    const std::filesystem::path home = FromEnvironment("HOME");
    if (home.empty()) {
      return absl::FailedPreconditionError("neither XDG_CACHE_HOME nor HOME is set");
    }
    directory = home / ".cache";
  }
  directory /= "chorus";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (!error && access(directory.c_str(), W_OK | X_OK) != 0) {
    error = std::error_code(errno, std::generic_category());
  }
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat(directory.string(), ": ", error.message()));
  }
  return (directory / name).string();
}

}  // namespace chorus::server
