// RmsNorm: y = x / sqrt(mean(x²) + eps) · weight, row by row (Zhang and Sennrich, 2019).
#ifndef CHORUS_KERNELS_NORM_RMS_NORM_H_
#define CHORUS_KERNELS_NORM_RMS_NORM_H_

#include "absl/status/status.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

struct RmsNormArgs {
  TensorView x;                   // [rows, width] f32
  const float* weight = nullptr;  // [width]
  float eps = 0.0f;
  TensorView y;                   // [rows, width] f32 or bf16, overwritten
};

// InvalidArgument when shapes or types do not fit.
absl::Status RmsNorm(const RmsNormArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_NORM_RMS_NORM_H_
