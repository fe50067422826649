// SiluMul on a device: y = silu(gate) · up, where silu(v) = v / (1 + exp(-v)), after the bias and
// the LoRA delta of gate and up.
#ifndef CHORUS_KERNELS_ACTIVATION_SILU_MUL_KERNEL_H_
#define CHORUS_KERNELS_ACTIVATION_SILU_MUL_KERNEL_H_

#include <cstdint>

#include "kernels/device/kernel.h"
#include "kernels/lora/device_lora.h"

namespace chorus::kernels {

// All pointers are the device's. X is the type of `gate_up`, T that of `y`, D that of the delta.
struct SiluMulParams {
  const void* gate_up;  // [rows, 2 · width] X: gate | up
  const float* bias;    // [2 · width] or null
  LoraDelta delta;      // D, of kGate and kUp, in the columns of gate_up
  void* y;              // [rows, width] T, overwritten
  int32_t rows;
  int32_t width;  // a multiple of 8
};

constexpr int32_t kSiluMulThreads = 256;
constexpr int32_t kSiluMulPiece = 8;

// Blocks along a row; a launch has rows times as many.
CHORUS_HOST_DEVICE constexpr int32_t SiluMulRowBlocks(int32_t width) {
  return DivideUp(width, kSiluMulPiece * kSiluMulThreads);
}

extern const Kernel kSiluMulF32Bf16;  // X, then T; D is f32
extern const Kernel kSiluMulBf16;
extern const Kernel kSiluMulF32F16;
extern const Kernel kSiluMulF16;
extern const Kernel kSiluMulF32Bf16Delta16;  // X, then T, which is D
extern const Kernel kSiluMulF32F16Delta16;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ACTIVATION_SILU_MUL_KERNEL_H_
