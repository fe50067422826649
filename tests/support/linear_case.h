// A random Linear for a device or the simulator, and the double-precision oracle. Everything that
// is not an element, the gaps behind rows included, is NaN before the run.
#ifndef CHORUS_TESTS_SUPPORT_LINEAR_CASE_H_
#define CHORUS_TESTS_SUPPORT_LINEAR_CASE_H_

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/linear/device_linear.h"
#include "tests/support/reference/linear.h"
#include "tests/support/test_tensor.h"
#include "tests/support/tolerance.h"

namespace chorus::test {

// In what steps a sum over the inputs is taken, which bounds its error.
enum class SumSteps {
  kOneByOne,    // f32, rounded after each product
  kTensorCore,  // blocks of 16 exact products, bits dropped where f32 would round
};

class LinearCase {
 public:
  LinearCase(const kernels::DeviceLinearShape& shape, uint64_t seed)
      : shape_(shape),
        x_(shape.dtype, shape.rows, shape.inputs, shape.x_stride - shape.inputs),
        weight_(shape.dtype, shape.outputs, shape.inputs, 0),
        bias_(shape.y_dtype, 1, shape.outputs, 0),
        y_(shape.y_dtype, shape.rows, shape.outputs, shape.y_stride - shape.outputs) {
    x_.Fill(seed);
    weight_.Fill(seed + 1);
    if (shape.bias) bias_.Fill(seed + 2, 4.0f);
  }

  const kernels::DeviceLinearShape& shape() const { return shape_; }
  // On the host.
  kernels::DeviceLinearArgs Args() const {
    return {.x = x_.view().data,
            .weight = weight_.view().data,
            .bias = shape_.bias ? bias_.view().data : nullptr,
            .y = y_.view().data};
  }
  int64_t x_bytes() const { return shape_.rows * shape_.x_stride * 2; }
  int64_t weight_bytes() const { return int64_t{shape_.outputs} * shape_.inputs * 2; }
  int64_t bias_bytes() const { return shape_.outputs * ByteSize(shape_.y_dtype); }
  int64_t y_bytes() const { return shape_.rows * shape_.y_stride * ByteSize(shape_.y_dtype); }

  // The first output that is wrong, in words; empty when there is none. Looks at every `step`th row
  // and output, and at the gaps.
  std::string Difference(SumSteps steps, int64_t step = 1) const {
    for (int64_t row = 0; row < shape_.rows; row += step) {
      for (int64_t output = row % step; output < shape_.outputs; output += step) {
        ReferenceSum want = ReferenceDot(x_, row, weight_, output);
        if (shape_.bias) want.Add(bias_.Get(0, output));
        const double sum = steps == SumSteps::kOneByOne
                               ? SumTolerance(shape_.inputs + 2, want.magnitude)
                               : 2.0 * SumTolerance(shape_.inputs / 16 + 8, want.magnitude);
        const double tolerance = sum + RoundingTolerance(shape_.y_dtype, want.value);
        const double got = y_.Get(row, output);
        if (std::abs(got - want.value) <= tolerance) continue;
        return TextOf(shape_) + ": row " + std::to_string(row) + " output " +
               std::to_string(output) + " is " + std::to_string(got) + ", want " +
               std::to_string(want.value) + " within " + std::to_string(tolerance);
      }
    }
    return y_.GapsUntouched() ? "" : TextOf(shape_) + ": a gap between rows was written";
  }

 private:
  kernels::DeviceLinearShape shape_;
  TestTensor x_;
  TestTensor weight_;
  TestTensor bias_;
  TestTensor y_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_LINEAR_CASE_H_
