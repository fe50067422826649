#include "server/device/cache_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using server::CacheFile;

class CacheFileTest : public testing::Test {
 protected:
  CacheFileTest() : home_(Get("HOME")), cache_(Get("XDG_CACHE_HOME")) {}
  ~CacheFileTest() override {
    Set("HOME", home_);
    Set("XDG_CACHE_HOME", cache_);
  }

  static std::string Get(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  }
  static void Set(const char* name, const std::string& value) {
    if (value.empty()) {
      unsetenv(name);
    } else {
      setenv(name, value.c_str(), 1);
    }
  }

  const TempDir dir_;

 private:
  const std::string home_, cache_;
};

TEST_F(CacheFileTest, LiesInTheCacheDirectoryWhichIsMade) {
  Set("HOME", dir_.path() + "/home");
  Set("XDG_CACHE_HOME", dir_.path() + "/cache");
  ASSERT_EQ(CacheFile("a").value_or(""), dir_.path() + "/cache/chorus/a");
  EXPECT_TRUE(std::filesystem::is_directory(dir_.path() + "/cache/chorus"));
  Set("XDG_CACHE_HOME", "");
  EXPECT_EQ(CacheFile("b").value_or(""), dir_.path() + "/home/.cache/chorus/b");
  Set("XDG_CACHE_HOME", "relative");
  EXPECT_EQ(CacheFile("b").value_or(""), dir_.path() + "/home/.cache/chorus/b");
}

TEST_F(CacheFileTest, SaysWhyThereCanBeNone) {
  Set("HOME", "");
  Set("XDG_CACHE_HOME", "");
  EXPECT_EQ(CacheFile("a").status().message(), "neither XDG_CACHE_HOME nor HOME is set");
  std::ofstream(dir_.path() + "/file") << "no directory";
  Set("XDG_CACHE_HOME", dir_.path() + "/file");
  EXPECT_EQ(CacheFile("a").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(CacheFile("a").status().message()),
              testing::StartsWith(dir_.path() + "/file/chorus: "));
}

}  // namespace
}  // namespace chorus::test
