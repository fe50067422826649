// What follows a linear on a device: its output, bias and LoRA delta are added to the residual
// stream, and the sum is normed (RMSNorm, Zhang and Sennrich, 2019) for the next linear.
#ifndef CHORUS_KERNELS_NORM_ADD_NORM_KERNEL_H_
#define CHORUS_KERNELS_NORM_ADD_NORM_KERNEL_H_

#include <cstdint>

#include "kernels/device/dtype.h"
#include "kernels/device/kernel.h"
#include "kernels/lora/device_lora.h"

namespace chorus::kernels {

// All pointers are the device's. X is the type of `linear`, T that of `y`, D that of the delta.
struct AddNormParams {
  const void* linear;   // [rows, hidden] X, null: nothing is added
  const float* bias;    // [hidden] or null; only with linear
  LoraDelta delta;      // D, of `module` in columns [0, hidden); only with linear
  int32_t module;       // LoraModule
  float* residual;      // [rows, hidden], added to
  const float* weight;  // [hidden]
  float eps;
  const int32_t* row_list;  // [num_outputs] row of each output, below 0: none; null: row i is i
  void* y;                  // [num_outputs, hidden] T, overwritten but for outputs without a row
  int32_t rows;
  int32_t num_outputs;  // rows when row_list is null
  int32_t hidden;       // a multiple of 8
};

// residual += linear + bias + delta;  y = residual / sqrt(mean(residual²) + eps) · weight.
// One block an output, kAddNormSharedBytes of shared memory. Sums run in an order that depends on
// `hidden` alone.
constexpr int32_t kAddNormThreads = 512;
constexpr int32_t kAddNormSharedBytes = kAddNormThreads / kWarpThreads * 4;

extern const Kernel kAddNormF32Bf16;  // X, then T; D is f32
extern const Kernel kAddNormBf16;
extern const Kernel kAddNormF32F16;
extern const Kernel kAddNormF16;
extern const Kernel kAddNormF32Bf16Delta16;  // X, then T, which is D
extern const Kernel kAddNormF32F16Delta16;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_NORM_ADD_NORM_KERNEL_H_
