// Reads a guarded field without its mutex: tests/thread_safety must refuse this file, and must take
// it when the mutex is held (PLANTED_LOCK). No part of the build.
#include "kernels/mutex.h"

namespace chorus::test {

class Planted {
 public:
  int value() {
#ifdef PLANTED_LOCK
    const kernels::MutexLock lock(&mutex_);
#endif
    return value_;
  }

 private:
  kernels::Mutex mutex_;
  int value_ CHORUS_GUARDED_BY(mutex_) = 0;
};

int ReadPlanted() { return Planted().value(); }

}  // namespace chorus::test
