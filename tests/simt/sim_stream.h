// The streams, events and timers of a SimDevice.
#ifndef CHORUS_TESTS_SIMT_SIM_STREAM_H_
#define CHORUS_TESTS_SIMT_SIM_STREAM_H_

#include <memory>
#include <optional>
#include <span>

#include "tests/simt/sim_device.h"

namespace chorus::kernels {

class SimEvent : public DeviceEvent {
 public:
  explicit SimEvent(SimDevice* device) : device_(device) {}

  absl::StatusOr<bool> Done() override;
  absl::Status Wait() override;

 private:
  friend class SimStream;

  SimDevice* const device_;
  std::optional<SimMark> mark_;  // of the last Record, if it was no captured one
  SimCapturedPoint captured_;    // if it was
};

class SimStream : public DeviceStream {
 public:
  SimStream(SimDevice* device, int queue) : device_(device), queue_(queue) {}
  ~SimStream() override;

  absl::Status CopyToDevice(void* to, const void* host_from, int64_t bytes) override;
  absl::Status CopyManyToDevice(std::span<const DeviceCopy> copies) override;
  absl::Status CopyManyToHost(std::span<const DeviceCopy> copies) override;
  absl::Status CopyToHost(void* host_to, const void* from, int64_t bytes) override;
  absl::Status CopyOnDevice(void* to, const void* from, int64_t bytes) override;
  absl::Status Fill(void* to, uint8_t value, int64_t bytes) override;
  absl::Status Record(DeviceEvent* event) override;
  absl::Status Wait(DeviceEvent* event) override;
  absl::Status Synchronize() override;
  absl::Status BeginCapture() override;
  absl::StatusOr<std::unique_ptr<DeviceGraph>> EndCapture() override;
  absl::Status Replay(DeviceGraph* graph) override;

  int queue() const { return queue_; }

 private:
  absl::Status LaunchBytes(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                           const void* params, int64_t params_bytes, LaunchBegin begin) override;
  absl::Status CopyMany(const char* op, std::span<const DeviceCopy> copies,
                        absl::Status (SimStream::*copy)(void*, const void*, int64_t));

  SimDevice* const device_;
  const int queue_;
};

class SimTimer : public DeviceTimer {
 public:
  explicit SimTimer(SimDevice* device) : device_(device) {}

  absl::Status Start(DeviceStream* stream) override { return MarkNow(stream, &start_); }
  absl::Status Stop(DeviceStream* stream) override { return MarkNow(stream, &stop_); }
  absl::StatusOr<double> ElapsedUs() override;

 private:
  absl::Status MarkNow(DeviceStream* stream, SimMark* mark);

  SimDevice* const device_;
  SimMark start_;
  SimMark stop_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIM_STREAM_H_
