// TempDir: a directory for one test.
#ifndef CHORUS_TESTS_SUPPORT_TEMP_DIR_H_
#define CHORUS_TESTS_SUPPORT_TEMP_DIR_H_

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "kernels/check.h"

namespace chorus::test {

// A directory of its own, gone with the object.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "chorus_test_XXXXXX").string();
    CHORUS_CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_TEMP_DIR_H_
