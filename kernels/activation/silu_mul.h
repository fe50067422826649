// SiluMul: y = silu(gate) · up, where silu(v) = v / (1 + exp(-v)).
#ifndef CHORUS_KERNELS_ACTIVATION_SILU_MUL_H_
#define CHORUS_KERNELS_ACTIVATION_SILU_MUL_H_

#include "absl/status/status.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

struct SiluMulArgs {
  TensorView gate_up;  // [rows, 2 · width] f32: gate | up
  TensorView y;        // [rows, width] f32 or bf16, overwritten
};

// InvalidArgument when shapes or types do not fit.
absl::Status SiluMul(const SiluMulArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ACTIVATION_SILU_MUL_H_
