// The console's own ends: file descriptors.
#include "server/cli/console.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "gmock/gmock.h"
#include "kernels/check.h"

namespace chorus::cli {
namespace {

class ConsoleTest : public ::testing::Test {
 protected:
  ConsoleTest() { CHORUS_CHECK_EQ(pipe2(pipe_, O_CLOEXEC), 0); }
  ~ConsoleTest() override {
    for (const int end : pipe_) {
      if (end >= 0) close(end);
    }
  }
  void CloseEnd(int end) {
    close(pipe_[end]);
    pipe_[end] = -1;
  }

  int pipe_[2];
};

TEST_F(ConsoleTest, APipeThatDoesNotBlockStillGetsEverything) {
  ASSERT_EQ(fcntl(pipe_[1], F_SETFL, O_NONBLOCK), 0);
  std::string text;
  for (int i = 0; text.size() < size_t{1} << 20; ++i) text += std::to_string(i);
  std::thread writer([&] {
    FdOutput out(pipe_[1]);
    EXPECT_FALSE(out.is_terminal());
    out.Write(text);
    EXPECT_FALSE(out.closed());
    CloseEnd(1);
  });
  const absl::StatusOr<std::string> got = ReadAll(pipe_[0], text.size());
  writer.join();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(*got == text);
}

TEST_F(ConsoleTest, AReaderThatWentAwayClosesTheOutput) {
  signal(SIGPIPE, SIG_IGN);
  CloseEnd(0);
  FdOutput out(pipe_[1]);
  out.Write("anybody?");
  EXPECT_TRUE(out.closed());
  signal(SIGPIPE, SIG_DFL);
}

TEST_F(ConsoleTest, InputPastTheLimitIsRefused) {
  FdOutput(pipe_[1]).Write("12345");
  CloseEnd(1);
  EXPECT_EQ(ReadAll(pipe_[0], 4).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ReadAll(-1, 4).ok());
}

TEST_F(ConsoleTest, WithoutATerminalTextHasNoColours) {
  const FdOutput out(pipe_[1]);
  EXPECT_EQ(out.Dim("a") + out.Coloured(7, "b"), "ab");
  EXPECT_EQ(out.columns(), 100);
}

}  // namespace
}  // namespace chorus::cli
