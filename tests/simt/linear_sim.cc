#include "tests/simt/linear_sim.h"

#include <vector>

#include "kernels/status_macros.h"
#include "tests/support/element.h"

namespace chorus::test {

absl::Status LinearSim(const kernels::DeviceLinearShape& shape,
                       const kernels::DeviceLinearArgs& args) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape));
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape, args));
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
      if (shape.accumulate) sum += LoadElement(shape.y_dtype, args.y, to);
      StoreElement(shape.y_dtype, args.y, to, sum);
    }
  }
  return absl::OkStatus();
}

}  // namespace chorus::test
