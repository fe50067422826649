// The order between a test that writes the fake server's scripts and the calls that read them. gRPC
// makes it, out of ThreadSanitizer's sight; a lock makes it once more.
#ifndef CHORUS_TESTS_SERVER_CLI_SCRIPT_ORDER_H_
#define CHORUS_TESTS_SERVER_CLI_SCRIPT_ORDER_H_

#include "kernels/mutex.h"

namespace chorus::cli {

// Before a command runs, and first thing in each call that it makes.
inline void PassScripts() {
  static kernels::Mutex mutex;
  const kernels::MutexLock lock(&mutex);
}

}  // namespace chorus::cli

#endif  // CHORUS_TESTS_SERVER_CLI_SCRIPT_ORDER_H_
