#include "server/cli/interrupts.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "kernels/check.h"

namespace chorus::cli {
namespace {

// All that a signal handler may touch.
std::atomic<int> write_end = -1;

void OnInterrupt(int) {
  const int saved = errno;
  const char byte = 1;
  // A full pipe holds interrupts enough.
  [[maybe_unused]] const ssize_t written = write(write_end.load(), &byte, 1);
  errno = saved;
}

}  // namespace

Interrupts::Interrupts() {
  CHORUS_CHECK_EQ(write_end.load(), -1);
  CHORUS_CHECK_EQ(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), 0);
  write_end = pipe_[1];
  struct sigaction action {};
  action.sa_handler = &OnInterrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  CHORUS_CHECK_EQ(sigaction(SIGINT, &action, &old_), 0);
}

Interrupts::~Interrupts() {
  sigaction(SIGINT, &old_, nullptr);
  write_end = -1;
  close(pipe_[0]);
  close(pipe_[1]);
}

bool Interrupts::Take() {
  bool came = false;
  char bytes[64];
  while (read(pipe_[0], bytes, sizeof(bytes)) > 0) came = true;
  return came;
}

}  // namespace chorus::cli
