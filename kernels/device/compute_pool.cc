#include "kernels/device/compute_pool.h"

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

ComputePool::ComputePool(int num_workers) : num_workers_(num_workers) {
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
  running_.store(static_cast<uint32_t>(num_workers_ - 1), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  body(context, 0);
  uint32_t running = running_.load(std::memory_order_acquire);
  while (running != 0) running = AwaitChange(running_, running);
}

void ComputePool::WorkerLoop(int worker) {
  uint32_t seen = 0;
  while (true) {
    seen = AwaitChange(generation_, seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    body_(context_, worker);
    // Only the last one out has someone to wake; the others' changes the caller sees spinning or
    // on its next look.
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace chorus::kernels
