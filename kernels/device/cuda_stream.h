// The streams, events, timers and graphs of a CUDA device. Includes CUDA; for the device layer
// only.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_STREAM_H_
#define CHORUS_KERNELS_DEVICE_CUDA_STREAM_H_

#include <cuda_runtime_api.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/cuda_context.h"
#include "kernels/device/device.h"

namespace chorus::kernels {

class CudaEvent : public DeviceEvent {
 public:
  static absl::StatusOr<std::unique_ptr<DeviceEvent>> New(CudaContext* context);
  ~CudaEvent() override;

  absl::StatusOr<bool> Done() override;
  absl::Status Wait() override;

  cudaEvent_t event() const { return event_; }
  // What was launched before the last Record, for the text of an error.
  void set_last_launch(const char* name) { last_launch_ = name; }

 private:
  CudaEvent(CudaContext* context, cudaEvent_t event) : context_(context), event_(event) {}

  CudaContext* const context_;
  const cudaEvent_t event_;
  const char* last_launch_ = nullptr;
};

class CudaStream : public DeviceStream {
 public:
  static absl::StatusOr<std::unique_ptr<DeviceStream>> New(CudaContext* context,
                                                           Device::Priority priority);
  ~CudaStream() override;

  absl::Status CopyToDevice(void* to, const void* host_from, int64_t bytes) override;
  absl::Status CopyManyToDevice(std::span<const DeviceCopy> copies) override {
    return CopyMany(copies, "CopyManyToDevice");
  }
  absl::Status CopyManyToHost(std::span<const DeviceCopy> copies) override {
    return CopyMany(copies, "CopyManyToHost");
  }
  absl::Status CopyToHost(void* host_to, const void* from, int64_t bytes) override;
  absl::Status CopyOnDevice(void* to, const void* from, int64_t bytes) override;
  absl::Status Fill(void* to, uint8_t value, int64_t bytes) override;
  absl::Status Record(DeviceEvent* event) override;
  absl::Status Wait(DeviceEvent* event) override;
  absl::Status Synchronize() override;
  absl::Status BeginCapture() override;
  absl::StatusOr<std::unique_ptr<DeviceGraph>> EndCapture() override;
  absl::Status Replay(DeviceGraph* graph) override;

  cudaStream_t stream() const { return stream_; }
  // After a library has launched `op` on stream().
  absl::Status CheckForeignLaunch(const char* op);
  // Something else than a launch of ours was enqueued.
  void EndLaunches() { after_launch_ = false; }

 private:
  CudaStream(CudaContext* context, cudaStream_t stream) : context_(context), stream_(stream) {}

  absl::Status LaunchBytes(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                           const void* params, int64_t params_bytes, LaunchBegin begin) override;
  absl::Status Copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind, const char* op);
  absl::Status CopyMany(std::span<const DeviceCopy> copies, const char* op);

  CudaContext* const context_;
  const cudaStream_t stream_;
  const char* last_launch_ = nullptr;  // a kernel's or an op's name
  bool capturing_ = false;             // since its own BeginCapture
  bool after_launch_ = false;          // of a kernel of ours, and nothing since
};

// How a kernel is launched, its clusters with it.
class CudaLaunch {
 public:
  CudaLaunch(const Kernel& kernel, int32_t blocks, int32_t shared_bytes, cudaStream_t stream,
             LaunchBegin begin = LaunchBegin::kInOrder);
  CudaLaunch(const CudaLaunch&) = delete;
  CudaLaunch& operator=(const CudaLaunch&) = delete;

  const cudaLaunchConfig_t* config() const { return &config_; }

 private:
  cudaLaunchAttribute attributes_[2] = {};
  cudaLaunchConfig_t config_ = {};
};

// REQUIRES: streams given to it are CudaStreams.
absl::StatusOr<std::unique_ptr<DeviceTimer>> NewCudaTimer(CudaContext* context);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_STREAM_H_
