// RopeTable on a device: cos and sin of position · inv_freq, the product in f32 as transformers
// forms it. Once a step.
#ifndef CHORUS_KERNELS_ROPE_ROPE_TABLE_KERNEL_H_
#define CHORUS_KERNELS_ROPE_ROPE_TABLE_KERNEL_H_

#include <cstdint>

#include "kernels/device/device_code.h"
#include "kernels/device/kernel.h"

namespace chorus::kernels {

// All pointers are the device's.
struct RopeTableParams {
  const int32_t* positions;  // [rows], at least 0
  const float* inv_freq;     // [half]
  float attention_scaling;   // multiplies cos and sin (yarn)
  float* cos_sin;            // [rows, 2 · half]: half cos, then half sin, overwritten
  int32_t rows;
  int32_t half;  // head_dim / 2
};

constexpr int32_t kRopeTableThreads = 128;

constexpr int32_t RopeTableBlocks(int32_t rows, int32_t half) {
  return static_cast<int32_t>(DivideUp<int64_t>(int64_t{rows} * half, kRopeTableThreads));
}

extern const Kernel kRopeTable;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ROPE_ROPE_TABLE_KERNEL_H_
