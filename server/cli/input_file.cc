#include "server/cli/input_file.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::cli {
namespace {

absl::Status FileError(const std::string& path, int error) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<InputFile> InputFile::Open(std::string path) {
  InputFile file;
  file.path_ = std::move(path);
  file.file_.reset(std::fopen(file.path_.c_str(), "rbe"));
  if (file.file_ == nullptr) return FileError(file.path_, errno);
  struct stat status {};
  if (fstat(fileno(file.file_.get()), &status) != 0) return FileError(file.path_, errno);
  if (!S_ISREG(status.st_mode)) {
    return absl::UnavailableError(absl::StrCat(file.path_, ": not a regular file"));
  }
  file.size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

absl::Status InputFile::Read(size_t slice, absl::FunctionRef<bool(absl::string_view)> use) {
  std::rewind(file_.get());
  std::string buffer(slice, '\0');
  for (;;) {
    const size_t got = std::fread(buffer.data(), 1, slice, file_.get());
    if (std::ferror(file_.get()) != 0) return FileError(path_, errno);
    if (got == 0 || !use(absl::string_view(buffer).substr(0, got))) return absl::OkStatus();
  }
}

absl::StatusOr<std::string> Sha256Hex(InputFile* file) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  CHORUS_CHECK(context != nullptr);
  CHORUS_CHECK_EQ(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr), 1);
  CHORUS_RETURN_IF_ERROR(file->Read(size_t{256} << 10, [&](absl::string_view bytes) {
    return EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1;
  }));
  std::array<unsigned char, 32> digest;
  CHORUS_CHECK_EQ(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr), 1);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace chorus::cli
