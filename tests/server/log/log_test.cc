#include "server/log/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::test {
namespace {

using server::FormatLogLine;
using server::LogField;
using server::LogLevel;

const absl::Time kTime = absl::FromUnixMillis(1795705445123);

TEST(LogTest, LineHasTimeLevelMessageAndFields) {
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kInfo, "listening",
                          {{"address", "127.0.0.1:50051"}, {"port", 50051}, {"share", 0.25}}),
            "2026-11-26T15:04:05.123Z info listening address=127.0.0.1:50051 port=50051 "
            "share=0.25\n");
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kWarning, "slow", {}),
            "2026-11-26T15:04:05.123Z warning slow\n");
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kError, "gone", {}),
            "2026-11-26T15:04:05.123Z error gone\n");
}

TEST(LogTest, ValuesOfStrangersStayOnTheirLine) {
  const std::string name = "a b\n2026 error \"forged\"=\x01\xff\\";
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kInfo, "upload\nrefused", {{"name", name}}),
            "2026-11-26T15:04:05.123Z info upload\\nrefused "
            "name=\"a b\\n2026 error \\\"forged\\\"=\\x01\\xff\\\\\"\n");
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kInfo, "m", {{"empty", ""}}),
            "2026-11-26T15:04:05.123Z info m empty=\"\"\n");
}

TEST(LogTest, LongValuesAreCut) {
  const std::string line =
      FormatLogLine(kTime, LogLevel::kInfo, "m", {{"v", std::string(1 << 20, 'x')}});
  EXPECT_LT(line.size(), 1200u);
  EXPECT_THAT(line, ::testing::EndsWith("xxx…\"\n"));
}

TEST(LogTest, EveryKindOfTextIsTaken) {
  const std::string owned = "owned";
  const std::string_view view = "view";
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kInfo, "m",
                          {{"a", owned}, {"b", view}, {"c", "literal"}, {"d", int64_t{-5}}}),
            "2026-11-26T15:04:05.123Z info m a=owned b=view c=literal d=-5\n");
}

// Standard error goes into a file while this lives.
class CapturedStandardError {
 public:
  CapturedStandardError() : path_(testing::TempDir() + "chorus_log_test.txt") {
    saved_ = dup(STDERR_FILENO);
    const int file = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
    dup2(file, STDERR_FILENO);
    close(file);
  }
  ~CapturedStandardError() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    unlink(path_.c_str());
  }
  std::string Text() const {
    std::string text(1 << 20, '\0');
    const ssize_t size = pread(STDERR_FILENO, text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return text;
  }

 private:
  const std::string path_;
  int saved_ = -1;
};

TEST(LogTest, LinesOfManyThreadsDoNotMix) {
  constexpr int kThreads = 4, kLines = 200;
  std::string text;
  {
    CapturedStandardError captured;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < kLines; ++i) {
          server::LogWarning("line", {{"thread", t}, {"i", i}, {"pad", std::string(300, 'p')}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    text = captured.Text();
  }
  std::set<std::string> seen;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    EXPECT_THAT(line, ::testing::HasSubstr("Z warning line thread="));
    EXPECT_THAT(line, ::testing::EndsWith(" pad=" + std::string(300, 'p')));
    seen.insert(line.substr(line.find("thread=")));
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kThreads * kLines));
}

}  // namespace
}  // namespace chorus::test
