// Where an op runs. Ops take a Stream last and choose their implementation by its device. On the
// CPU an op has finished when it returns; on CUDA it has been enqueued.
#ifndef CHORUS_KERNELS_DEVICE_STREAM_H_
#define CHORUS_KERNELS_DEVICE_STREAM_H_

#include "kernels/device/compute_pool.h"
#include "kernels/device/tensor_view.h"

namespace chorus::kernels {

class Stream {
 public:
  // A CPU stream over `pool`, which must outlive it.
  static Stream Cpu(ComputePool* pool) { return Stream(DeviceType::kCpu, pool); }

  DeviceType device() const { return device_; }
  // REQUIRES: device() is the CPU.
  ComputePool& cpu() const { return *pool_; }

 private:
  Stream(DeviceType device, ComputePool* pool) : device_(device), pool_(pool) {}

  DeviceType device_;
  ComputePool* pool_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_STREAM_H_
