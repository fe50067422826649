// The CPU backend's workers: the calling thread is worker 0, `num_workers - 1` threads wait beside
// it. One Run at a time, from one thread (the engine's). Between runs workers spin for a bounded
// time, then sleep on a futex, so an idle server costs nothing and a step costs no system call.
// A thread that the system has put off does not hold up a Run that it has not begun: whoever is
// done first takes over its share.
#ifndef CHORUS_KERNELS_DEVICE_COMPUTE_POOL_H_
#define CHORUS_KERNELS_DEVICE_COMPUTE_POOL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace chorus::kernels {

class ComputePool {
 public:
  // REQUIRES: num_workers >= 1.
  explicit ComputePool(int num_workers);
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  int num_workers() const { return num_workers_; }

  // Calls body(worker) once for every 0 <= worker < num_workers(), and returns when all are done;
  // two of the calls may come one after the other on one thread. What the caller wrote before is
  // seen by the calls, what they wrote is seen after.
  template <class Body>
  void Run(const Body& body) {
    RunErased([](const void* b, int worker) { (*static_cast<const Body*>(b))(worker); }, &body);
  }

  // Splits [0, count) evenly into one contiguous range for as many workers as get at least `grain`
  // of it (all of it for one, where it is less), and calls body(begin, end, worker) for each.
  template <class Body>
  void ParallelFor(int64_t count, int64_t grain, const Body& body) {
    if (count <= 0) return;
    const int64_t parts = std::clamp<int64_t>(count / grain, 1, num_workers_);
    if (parts == 1) {
      body(int64_t{0}, count, 0);
      return;
    }
    Run([&](int worker) {
      if (worker < parts) body(count * worker / parts, count * (worker + 1) / parts, worker);
    });
  }

 private:
  using ErasedBody = void (*)(const void* body, int worker);

  void RunErased(ErasedBody body, const void* context);
  void WorkerLoop(int worker);
  // Runs the shares of `generation` that nobody has begun, `first` first.
  void RunUnclaimed(uint32_t generation, int first);

  // The last Run in which a worker's share was begun: the claim to it.
  struct alignas(64) Share {
    std::atomic<uint32_t> claimed{0};
  };

  const int num_workers_;
  ErasedBody body_ = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> generation_{0};  // one more for every Run; workers wait on it
  alignas(64) std::atomic<uint32_t> running_{0};     // shares of this Run that are not done
  std::atomic<bool> stopping_{false};
  std::vector<Share> shares_;
  std::vector<std::thread> threads_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_COMPUTE_POOL_H_
