// Linear on a device: y = x · Wᵀ (+ bias), of one fixed shape. LinearPlanner runs
// it with cuBLASLt (kernels/linear/linear_cuda.h), the simulator with the loops of tests/simt.
#ifndef CHORUS_KERNELS_LINEAR_DEVICE_LINEAR_H_
#define CHORUS_KERNELS_LINEAR_DEVICE_LINEAR_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "kernels/device/dtype.h"

namespace chorus::kernels {

struct DeviceLinearShape {
  DType dtype = DType::kBf16;   // of x and W: bf16 or f16
  DType y_dtype = DType::kF32;  // f32, or dtype
  bool bias = false;
  int32_t rows = 0;  // a bucket (kernels/linear/row_buckets.h)
  int32_t outputs = 0;
  int32_t inputs = 0;
  int64_t x_stride = 0;         // elements, at least inputs
  int64_t y_stride = 0;         // elements, at least outputs
  int32_t multiprocessors = 0;  // that it may count on, others are busy; 0: all
};

// Pointers are the device's, aligned to 16 bytes.
struct DeviceLinearArgs {
  const void* x = nullptr;       // [rows, x_stride]
  const void* weight = nullptr;  // [outputs, inputs]
  const void* bias = nullptr;    // [outputs] of y's type, if the shape has one
  void* y = nullptr;             // [rows, y_stride]
};

// InvalidArgument naming what does not fit.
absl::Status CheckDeviceLinear(const DeviceLinearShape& shape);
absl::Status CheckDeviceLinear(const DeviceLinearShape& shape, const DeviceLinearArgs& args);

// "bf16 to f32, 16 x 4096 x 11008, strides 11008 4096": one text for one shape.
std::string TextOf(const DeviceLinearShape& shape);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_DEVICE_LINEAR_H_
