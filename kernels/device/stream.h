// Where an op runs. Ops take a Stream last and choose their implementation by its device. On the
// CPU an op has finished when it returns; on an accelerator it has been enqueued.
#ifndef CHORUS_KERNELS_DEVICE_STREAM_H_
#define CHORUS_KERNELS_DEVICE_STREAM_H_

#include "kernels/check.h"
#include "kernels/device/compute_pool.h"
#include "kernels/device/device.h"
#include "kernels/device/tensor_view.h"

namespace chorus::kernels {

// A stream together with its device, whose size some launches are chosen by.
struct Accelerator {
  Device* device = nullptr;
  DeviceStream* stream = nullptr;
};

class Stream {
 public:
  // A CPU stream over `pool`, which must outlive it.
  static Stream Cpu(ComputePool* pool) { return Stream(DeviceType::kCpu, pool, {}); }
  // `stream` is of `device`, any implementation of Device; both must outlive it.
  static Stream OnDevice(Device* device, DeviceStream* stream) {
    return Stream(DeviceType::kCuda, nullptr, {device, stream});
  }

  DeviceType device() const { return device_; }
  // REQUIRES: device() is the CPU.
  ComputePool& cpu() const {
    CHORUS_DCHECK(device_ == DeviceType::kCpu);
    return *pool_;
  }
  // REQUIRES: device() is not the CPU.
  const Accelerator& accelerator() const {
    CHORUS_DCHECK(device_ == DeviceType::kCuda);
    return accelerator_;
  }

 private:
  Stream(DeviceType device, ComputePool* pool, Accelerator accelerator)
      : device_(device), pool_(pool), accelerator_(accelerator) {}

  DeviceType device_;
  ComputePool* pool_;
  Accelerator accelerator_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_STREAM_H_
