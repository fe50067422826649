#include "tests/simt/linear_sim.h"

#include <utility>
#include <vector>

#include "kernels/status_macros.h"
#include "tests/support/element.h"

namespace chorus::test {
namespace {

void RunLinear(const kernels::DeviceLinearShape& shape, const kernels::DeviceLinearArgs& args) {
  // Converted once, not once for each row.
  std::vector<float> weight(static_cast<size_t>(shape.inputs));
  std::vector<float> x(static_cast<size_t>(shape.rows) * weight.size());
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t i = 0; i < shape.inputs; ++i) {
      x[static_cast<size_t>(row * shape.inputs + i)] =
          LoadElement(shape.dtype, args.x, row * shape.x_stride + i);
    }
  }
  for (int64_t output = 0; output < shape.outputs; ++output) {
    for (int64_t i = 0; i < shape.inputs; ++i) {
      weight[static_cast<size_t>(i)] =
          LoadElement(shape.dtype, args.weight, output * shape.inputs + i);
    }
    for (int64_t row = 0; row < shape.rows; ++row) {
      const float* const from = x.data() + row * shape.inputs;
      float sum = 0.0f;
      for (size_t i = 0; i < weight.size(); ++i) sum += from[i] * weight[i];
      const int64_t to = row * shape.y_stride + output;
      if (shape.bias) sum += LoadElement(shape.y_dtype, args.bias, output);
      StoreElement(shape.y_dtype, args.y, to, sum);
    }
  }
}

// A row and not the gap behind it, which may be another's.
void AddRows(const void* data, int64_t rows, int64_t cols, int64_t stride, kernels::DType dtype,
             std::vector<kernels::SimBytes>& uses) {
  const int64_t size = ByteSize(dtype);
  for (int64_t row = 0; row < rows; ++row) {
    uses.push_back({static_cast<const std::byte*>(data) + row * stride * size, cols * size});
  }
}

}  // namespace

absl::Status LinearSim(const kernels::DeviceLinearShape& shape,
                       const kernels::DeviceLinearArgs& args) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape));
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape, args));
  RunLinear(shape, args);
  return absl::OkStatus();
}

absl::Status EnqueueLinear(const kernels::DeviceLinearShape& shape,
                           const kernels::DeviceLinearArgs& args, kernels::SimDevice* device,
                           kernels::DeviceStream* stream) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape));
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape, args));
  kernels::SimHostOp op = {.name = "Linear", .run = [shape, args] { RunLinear(shape, args); }};
  AddRows(args.x, shape.rows, shape.inputs, shape.x_stride, shape.dtype, op.reads);
  AddRows(args.weight, 1, int64_t{shape.outputs} * shape.inputs, 0, shape.dtype, op.reads);
  if (shape.bias) AddRows(args.bias, 1, shape.outputs, 0, shape.y_dtype, op.reads);
  AddRows(args.y, shape.rows, shape.outputs, shape.y_stride, shape.y_dtype, op.writes);
  return device->Enqueue(stream, std::move(op));
}

}  // namespace chorus::test
