#include "kernels/activation/silu_mul.h"

#include "kernels/activation/silu_mul_cpu.h"
#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {

absl::Status SiluMul(const SiluMulArgs& args, const Stream& stream) {
  const ArgCheck check("SiluMul");
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("gate_up", args.gate_up, args.y.rows, 2 * args.y.cols, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("y", args.y, ArgCheck::kAny, ArgCheck::kAny, {DType::kF32, DType::kBf16}));
  if (args.y.rows == 0 || args.y.cols == 0) return absl::OkStatus();
  SiluMulCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
