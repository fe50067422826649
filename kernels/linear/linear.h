// Linear: y = x · Wᵀ (+ bias), or y += x · Wᵀ (+ bias).
#ifndef CHORUS_KERNELS_LINEAR_LINEAR_H_
#define CHORUS_KERNELS_LINEAR_LINEAR_H_

#include "absl/status/status.h"
#include "kernels/device/stream.h"
#include "kernels/linear/packed_matrix.h"

namespace chorus::kernels {

struct LinearArgs {
  TensorView x;                          // [rows, inputs] the weights' type
  const PackedMatrix* weight = nullptr;  // [outputs, inputs]
  const float* bias = nullptr;           // [outputs] or null
  bool accumulate = false;               // add to y instead of overwriting it
  TensorView y;                          // [rows, outputs] f32
};

// Each output is one sum over the inputs in ascending order, whatever the number of rows or
// threads, so a row's bits depend on nothing but the row. InvalidArgument on shapes or types that
// do not fit.
absl::Status Linear(const LinearArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_LINEAR_H_
