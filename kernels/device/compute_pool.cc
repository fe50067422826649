#include "kernels/device/compute_pool.h"

#include <algorithm>
#include <chrono>

#include "kernels/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace chorus::kernels {
namespace {

inline void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

// Long enough to bridge the gap between two ops of a step, short enough that an idle server does
// not show: workers sleep this long after the last Run.
constexpr auto kSpinTime = std::chrono::microseconds(200);
constexpr int kPausesPerClockRead = 64;

// Waits until `value` is no longer `old`: spins first, then sleeps. Returns the new value.
uint32_t AwaitChange(const std::atomic<uint32_t>& value, uint32_t old) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      const uint32_t now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      Pause();
    }
  } while (std::chrono::steady_clock::now() - start < kSpinTime);
  uint32_t now = old;
  while ((now = value.load(std::memory_order_acquire)) == old) {
    value.wait(old, std::memory_order_acquire);
  }
  return now;
}

}  // namespace

ComputePool::ComputePool(int num_workers)
    : num_workers_(num_workers), shares_(static_cast<size_t>(std::max(num_workers, 0))) {
  CHORUS_CHECK_GE(num_workers, 1);
  threads_.reserve(static_cast<size_t>(num_workers - 1));
  for (int worker = 1; worker < num_workers; ++worker) {
    threads_.emplace_back([this, worker] { WorkerLoop(worker); });
  }
}

ComputePool::~ComputePool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ComputePool::RunErased(ErasedBody body, const void* context) {
  if (num_workers_ == 1) {
    body(context, 0);
    return;
  }
  body_ = body;
  context_ = context;
  running_.store(static_cast<uint32_t>(num_workers_), std::memory_order_relaxed);
  const uint32_t generation = generation_.fetch_add(1, std::memory_order_release) + 1;
  generation_.notify_all();
  RunUnclaimed(generation, 0);
  uint32_t running = running_.load(std::memory_order_acquire);
  while (running != 0) running = AwaitChange(running_, running);
}

void ComputePool::RunUnclaimed(uint32_t generation, int first) {
  for (int i = 0; i < num_workers_; ++i) {
    const int share = first + i < num_workers_ ? first + i : first + i - num_workers_;
    // A claim can only succeed while this Run goes on, because it ends when all shares are done;
    // so body_ is only read where it is still this Run's. A thread that looks on later finds the
    // share claimed by this Run or by a later one.
    uint32_t last = generation - 1;
    if (!shares_[static_cast<size_t>(share)].claimed.compare_exchange_strong(
            last, generation, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      continue;
    }
    body_(context_, share);
    // Only the last one out has someone to wake.
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ComputePool::WorkerLoop(int worker) {
  uint32_t seen = 0;
  while (true) {
    seen = AwaitChange(generation_, seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    RunUnclaimed(seen, worker);
  }
}

}  // namespace chorus::kernels
