// CudaContext: what a CUDA device's streams, events, graphs and memory share: which GPU it is, the
// error that lost it, the counters. Thread-safe. Includes CUDA; for the device layer only.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_CONTEXT_H_
#define CHORUS_KERNELS_DEVICE_CUDA_CONTEXT_H_

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdint>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/device/device.h"
#include "kernels/mutex.h"

namespace chorus::kernels {

class CudaContext {
 public:
  explicit CudaContext(int32_t ordinal) : ordinal_(ordinal) {}

  int32_t ordinal() const { return ordinal_; }

  // First thing in every call: makes the GPU the calling thread's. The sticky error, once there is
  // one.
  absl::Status Enter();
  // OK for cudaSuccess; else the Status of `op`, kept if it is sticky. An error that shows late is
  // more likely that of what was launched before than op's, so it names `last_launch`; null: the
  // last of any stream.
  absl::Status Check(cudaError_t error, absl::string_view op, const char* last_launch = nullptr);

  // After Seal, once for each that is taken or given back.
  void CountAllocation() {
    if (sealed_.load(std::memory_order_relaxed)) ++allocations_after_seal_;
  }
  // `name` lives as long as the program.
  void CountLaunch(const char* name) {
    launches_.fetch_add(1, std::memory_order_relaxed);
    last_launch_.store(name, std::memory_order_relaxed);
  }
  void CountReplay() {
    replays_.fetch_add(1, std::memory_order_relaxed);
    last_launch_.store("a graph", std::memory_order_relaxed);
  }
  void Seal() { sealed_ = true; }
  bool sealed() const { return sealed_; }
  DeviceCounters counters() const { return {allocations_after_seal_, launches_, replays_}; }

  // Whether this GPU has launches that begin early; set before there are streams.
  void set_allows_early(bool allows) { allows_early_ = allows; }
  bool allows_early() const { return allows_early_; }

  // What Prepare allowed the launches of a kernel.
  int32_t PreparedBytes(const void* entry) CHORUS_EXCLUDES(mutex_);
  void SetPreparedBytes(const void* entry, int32_t shared_bytes) CHORUS_EXCLUDES(mutex_);

 private:
  const int32_t ordinal_;
  bool allows_early_ = false;
  std::atomic<bool> sealed_{false};
  std::atomic<bool> lost_{false};
  std::atomic<int64_t> allocations_after_seal_{0};
  std::atomic<int64_t> launches_{0};
  std::atomic<int64_t> replays_{0};
  std::atomic<const char*> last_launch_{nullptr};
  Mutex mutex_;
  absl::Status error_ CHORUS_GUARDED_BY(mutex_);  // not OK once lost_
  std::unordered_map<const void*, int32_t> prepared_bytes_ CHORUS_GUARDED_BY(mutex_);
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_CONTEXT_H_
