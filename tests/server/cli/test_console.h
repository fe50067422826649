// A console whose other end the test holds.
#ifndef CHORUS_TESTS_SERVER_CLI_TEST_CONSOLE_H_
#define CHORUS_TESTS_SERVER_CLI_TEST_CONSOLE_H_

#include <unistd.h>

#include <string>

#include "kernels/check.h"
#include "kernels/mutex.h"
#include "server/cli/chorus.h"
#include "tests/server/cli/script_order.h"

namespace chorus::cli {

// Thread-safe but for BecomeTerminal.
class StringOutput : public Output {
 public:
  void Write(absl::string_view text) override CHORUS_EXCLUDES(mutex_) {
    const kernels::MutexLock lock(&mutex_);
    text_.append(text.data(), text.size());
    changed_.NotifyAll();
  }

  std::string text() const CHORUS_EXCLUDES(mutex_) {
    const kernels::MutexLock lock(&mutex_);
    return text_;
  }
  void Clear() CHORUS_EXCLUDES(mutex_) {
    const kernels::MutexLock lock(&mutex_);
    text_.clear();
  }
  // Blocks until `part` has been written so many times.
  void Await(const std::string& part, int times) CHORUS_EXCLUDES(mutex_) {
    const kernels::MutexLock lock(&mutex_);
    while (Count(part) < times) changed_.Wait(&mutex_);
  }
  // A terminal of that size, without colours.
  void BecomeTerminal(int columns, int rows) {
    is_terminal_ = true;
    columns_ = columns;
    rows_ = rows;
  }

 private:
  int Count(const std::string& part) const CHORUS_REQUIRES(mutex_) {
    int count = 0;
    for (size_t at = text_.find(part); at != std::string::npos; at = text_.find(part, at + 1)) {
      ++count;
    }
    return count;
  }

  mutable kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::string text_ CHORUS_GUARDED_BY(mutex_);
};

class TestConsole {
 public:
  TestConsole() { CHORUS_CHECK_EQ(pipe(pipe_), 0); }
  ~TestConsole() {
    close(pipe_[0]);
    CloseInput();
  }

  void Type(absl::string_view text) {
    CHORUS_CHECK_EQ(write(pipe_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseInput() {
    if (pipe_[1] >= 0) close(pipe_[1]);
    pipe_[1] = -1;
  }

  Console console() { return {&out, &err, pipe_[0], in_is_terminal}; }
  ExitCode Run(const Args& args) {
    PassScripts();
    return RunChorus(args, console());
  }

  StringOutput out;
  StringOutput err;
  bool in_is_terminal = false;

 private:
  int pipe_[2];
};

}  // namespace chorus::cli

#endif  // CHORUS_TESTS_SERVER_CLI_TEST_CONSOLE_H_
