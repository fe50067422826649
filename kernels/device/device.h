// Device: an accelerator with its memory, streams, events and graphs: a CUDA card, or in tests the
// simulator, which runs the same kernel sources on the host in an adversarial order.
// Implementations come from CudaDevice::Open (kernels/device/cuda_device.h) and
// tests/simt/sim_device.h.
//
// Everything is taken before Seal(), which whoever has taken everything calls: after it nothing may
// allocate or free. What does so is served, and counted (DeviceCounters): tests assert zero.
//
// Status: an error of a call that CUDA reports as sticky is Internal, names the op, and is returned
// from then on by every call of the device; the process has to be started again.
// FailedPrecondition: the call is not allowed now (while capturing, after Seal, before Prepare).
#ifndef CHORUS_KERNELS_DEVICE_DEVICE_H_
#define CHORUS_KERNELS_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/kernel.h"

namespace chorus::kernels {

struct DeviceInfo {
  std::string name;                // as the driver says it
  int32_t compute_capability = 0;  // 90 for 9.0
  int32_t multiprocessors = 0;
  int32_t max_block_shared_bytes = 0;  // with opt-in
  int64_t l2_bytes = 0;
  int64_t total_bytes = 0;
};

struct DeviceCounters {
  int64_t allocations_after_seal = 0;  // and frees: memory, pinned memory, streams, graphs
  int64_t launches = 0;                // outside graphs, captured ones included once
  int64_t graph_replays = 0;
};

// Memory of a device, or pinned memory of the host that a device copies from and to. Movable; gives
// the memory back when it goes. The device must outlive it.
class DeviceBuffer {
 public:
  using Free = void (*)(void* owner, void* data);

  DeviceBuffer() = default;
  DeviceBuffer(std::byte* data, int64_t bytes, void* owner, Free free)
      : data_(data), bytes_(bytes), owner_(owner), free_(free) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { Swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    DeviceBuffer(std::move(other)).Swap(*this);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) free_(owner_, data_);
  }

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  template <class T>
  T* As() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void Swap(DeviceBuffer& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(owner_, other.owner_);
    std::swap(free_, other.free_);
  }

  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  void* owner_ = nullptr;
  Free free_ = nullptr;
};

class DeviceStream;

// A point in a stream's work that other streams and the host can wait for.
class DeviceEvent {
 public:
  virtual ~DeviceEvent() = default;
  // Whether all work before the last Record is done; true when there was none.
  virtual absl::StatusOr<bool> Done() = 0;
  virtual absl::Status Wait() = 0;  // blocks the calling thread
};

// The time between two points of a stream, for benches. Not to be used while capturing.
class DeviceTimer {
 public:
  virtual ~DeviceTimer() = default;
  virtual absl::Status Start(DeviceStream* stream) = 0;
  virtual absl::Status Stop(DeviceStream* stream) = 0;
  // Blocks until Stop's point is reached. REQUIRES: both were called, Start first.
  virtual absl::StatusOr<double> ElapsedUs() = 0;
};

// Work captured once, replayed as often as wanted. Launch parameters are those of the capture.
// Replays of one graph follow each other, whatever their streams.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
};

// One of many copies.
struct DeviceCopy {
  void* to = nullptr;
  const void* from = nullptr;
  int64_t bytes = 0;
};

// A queue of work. One thread at a time. Pointers of copies and launches are the device's unless a
// comment says host; memory must live until the work is done.
class DeviceStream {
 public:
  virtual ~DeviceStream() = default;

  // `blocks` > 0 thread blocks of `kernel`, each with `shared_bytes` of dynamic shared memory, for
  // which it was prepared (Device::Prepare). `params` is the kernel's struct, read before return.
  // REQUIRES: whole clusters (Kernel::cluster_blocks).
  template <class Params>
  absl::Status Launch(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                      const Params& params, LaunchBegin begin = LaunchBegin::kInOrder) {
    static_assert(std::is_trivially_copyable_v<Params>);
    return LaunchBytes(kernel, blocks, shared_bytes, &params, sizeof(Params), begin);
  }

  // `from` and `to` on the host lie in pinned memory; the copy reads or writes it when it runs.
  virtual absl::Status CopyToDevice(void* to, const void* host_from, int64_t bytes) = 0;
  // All of them, in any order among themselves, with less work a piece. REQUIRES: no capture.
  virtual absl::Status CopyManyToDevice(std::span<const DeviceCopy> copies) = 0;
  virtual absl::Status CopyManyToHost(std::span<const DeviceCopy> copies) = 0;
  virtual absl::Status CopyToHost(void* host_to, const void* from, int64_t bytes) = 0;
  virtual absl::Status CopyOnDevice(void* to, const void* from, int64_t bytes) = 0;
  virtual absl::Status Fill(void* to, uint8_t value, int64_t bytes) = 0;

  virtual absl::Status Record(DeviceEvent* event) = 0;
  // Later work of this stream waits for what `event` recorded last.
  virtual absl::Status Wait(DeviceEvent* event) = 0;
  virtual absl::Status Synchronize() = 0;  // blocks the calling thread

  // Between the two, work of this stream and of streams that wait for its events is recorded, not
  // run; nothing else may be asked of the device by this thread meanwhile. Those streams must have
  // been waited for by this one at the end. An event recorded then means nothing afterwards.
  virtual absl::Status BeginCapture() = 0;
  // After an error the capture is over, and nothing was made.
  virtual absl::StatusOr<std::unique_ptr<DeviceGraph>> EndCapture() = 0;
  virtual absl::Status Replay(DeviceGraph* graph) = 0;

 private:
  virtual absl::Status LaunchBytes(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                                   const void* params, int64_t params_bytes, LaunchBegin begin) = 0;
};

// Thread-safe, but for Seal.
class Device {
 public:
  enum class Priority { kNormal, kHigh };
  // What a launch may ask of dynamic shared memory without Prepare.
  static constexpr int32_t kUnpreparedSharedBytes = 48 << 10;

  virtual ~Device() = default;

  virtual const DeviceInfo& info() const = 0;
  virtual absl::StatusOr<int64_t> FreeBytes() = 0;
  // 256-byte aligned, contents undefined. ResourceExhausted with what is needed and what is free.
  // REQUIRES: bytes > 0.
  virtual absl::StatusOr<DeviceBuffer> Allocate(int64_t bytes) = 0;
  virtual absl::StatusOr<DeviceBuffer> AllocatePinned(int64_t bytes) = 0;
  virtual absl::StatusOr<std::unique_ptr<DeviceStream>> NewStream(Priority priority) = 0;
  virtual absl::StatusOr<std::unique_ptr<DeviceEvent>> NewEvent() = 0;
  virtual absl::StatusOr<std::unique_ptr<DeviceTimer>> NewTimer() = 0;

  // Loads the kernel's code and lets its launches ask for up to `shared_bytes`. Before Seal, for
  // each kernel that is launched later; again with more is fine. FailedPrecondition when this
  // device cannot run it: no code for its architecture, too much shared memory, too many threads,
  // clusters where there are none.
  virtual absl::Status Prepare(const Kernel& kernel, int32_t shared_bytes) = 0;
  // How many blocks of a prepared kernel run at once, in whole clusters. FailedPrecondition: none.
  virtual absl::StatusOr<int32_t> ResidentBlocks(const Kernel& kernel, int32_t shared_bytes) = 0;
  virtual void Seal() = 0;
  virtual DeviceCounters counters() const = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_DEVICE_H_
