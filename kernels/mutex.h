// Mutex, MutexLock and CondVar over the standard library, with clang's thread-safety annotations.
// (Debian's absl::Mutex is uninstrumented, so ThreadSanitizer reports races in correct code.)
#ifndef CHORUS_KERNELS_MUTEX_H_
#define CHORUS_KERNELS_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define CHORUS_TSA_(x) __attribute__((x))
#else
#define CHORUS_TSA_(x)
#endif
#define CHORUS_CAPABILITY(x) CHORUS_TSA_(capability(x))
#define CHORUS_SCOPED_CAPABILITY CHORUS_TSA_(scoped_lockable)
#define CHORUS_GUARDED_BY(x) CHORUS_TSA_(guarded_by(x))
#define CHORUS_PT_GUARDED_BY(x) CHORUS_TSA_(pt_guarded_by(x))
#define CHORUS_REQUIRES(...) CHORUS_TSA_(requires_capability(__VA_ARGS__))
#define CHORUS_EXCLUDES(...) CHORUS_TSA_(locks_excluded(__VA_ARGS__))
#define CHORUS_ACQUIRE(...) CHORUS_TSA_(acquire_capability(__VA_ARGS__))
#define CHORUS_RELEASE(...) CHORUS_TSA_(release_capability(__VA_ARGS__))
#define CHORUS_NO_THREAD_SAFETY_ANALYSIS CHORUS_TSA_(no_thread_safety_analysis)

namespace chorus::kernels {

class CHORUS_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() CHORUS_ACQUIRE() { mutex_.lock(); }
  void Unlock() CHORUS_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class CHORUS_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) CHORUS_ACQUIRE(mutex) : mutex_(mutex) { mutex_->Lock(); }
  ~MutexLock() CHORUS_RELEASE() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waiting releases the mutex and takes it again before returning; wake-ups may be spurious.
class CondVar {
 public:
  void Wait(Mutex* mutex) CHORUS_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False when `timeout` passed first.
  bool WaitFor(Mutex* mutex, std::chrono::nanoseconds timeout) CHORUS_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const auto result = condition_.wait_for(lock, timeout);
    lock.release();
    return result == std::cv_status::no_timeout;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_MUTEX_H_
