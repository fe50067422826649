// OlderDevice: a device that says it is of compute capability 8.0, so that whoever chooses kernels
// by that chooses those for such cards.
#ifndef CHORUS_TESTS_GPU_OLDER_DEVICE_H_
#define CHORUS_TESTS_GPU_OLDER_DEVICE_H_

#include <memory>
#include <utility>

#include "kernels/device/device.h"

namespace chorus::test {

class OlderDevice : public kernels::Device {
 public:
  explicit OlderDevice(std::unique_ptr<kernels::Device> device)
      : device_(std::move(device)), info_(device_->info()) {
    info_.compute_capability = 80;
  }

  const kernels::DeviceInfo& info() const override { return info_; }
  absl::StatusOr<int64_t> FreeBytes() override { return device_->FreeBytes(); }
  absl::StatusOr<kernels::DeviceBuffer> Allocate(int64_t bytes) override {
    return device_->Allocate(bytes);
  }
  absl::StatusOr<kernels::DeviceBuffer> AllocatePinned(int64_t bytes) override {
    return device_->AllocatePinned(bytes);
  }
  absl::StatusOr<std::unique_ptr<kernels::DeviceStream>> NewStream(Priority priority) override {
    return device_->NewStream(priority);
  }
  absl::StatusOr<std::unique_ptr<kernels::DeviceEvent>> NewEvent() override {
    return device_->NewEvent();
  }
  absl::StatusOr<std::unique_ptr<kernels::DeviceTimer>> NewTimer() override {
    return device_->NewTimer();
  }
  absl::Status Prepare(const kernels::Kernel& kernel, int32_t shared_bytes) override {
    return device_->Prepare(kernel, shared_bytes);
  }
  absl::StatusOr<int32_t> ResidentBlocks(const kernels::Kernel& kernel,
                                         int32_t shared_bytes) override {
    return device_->ResidentBlocks(kernel, shared_bytes);
  }
  void Seal() override { device_->Seal(); }
  kernels::DeviceCounters counters() const override { return device_->counters(); }

 private:
  const std::unique_ptr<kernels::Device> device_;
  kernels::DeviceInfo info_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_GPU_OLDER_DEVICE_H_
