// FileWatch: counts the calls of one thread that touch files, by the kernel's own account
// (seccomp), so that libraries' calls count too. A counted call is not carried out: it fails with
// ENOSYS.
#ifndef CHORUS_TESTS_SUPPORT_FILE_WATCH_H_
#define CHORUS_TESTS_SUPPORT_FILE_WATCH_H_

#include <cstdint>
#include <string>

namespace chorus::test {

class FileWatch {
 public:
  // Watches the calling thread until it ends. False where the kernel does not allow that.
  static bool WatchThisThread();

  // Of all threads watched so far.
  static int64_t calls();
  // The number of the last system call that was counted.
  static int last_call();
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_FILE_WATCH_H_
