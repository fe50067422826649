// Parses a command line given as words.
#ifndef CHORUS_TESTS_SERVER_CONFIG_ARGUMENTS_H_
#define CHORUS_TESTS_SERVER_CONFIG_ARGUMENTS_H_

#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/config/command_line.h"

namespace chorus::test {

inline absl::StatusOr<server::CommandLine> Parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv = {"chorusd"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return server::ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

// Empty when all is well.
inline std::string ProblemsOf(const std::vector<std::string>& words) {
  return std::string(Parse(words).status().message());
}

// A file that goes when the test ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    static int number = 0;
    path_ = testing::TempDir() + "chorus_config_" + std::to_string(getpid()) + "_" +
            std::to_string(number++);
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SERVER_CONFIG_ARGUMENTS_H_
