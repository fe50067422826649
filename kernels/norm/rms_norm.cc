#include "kernels/norm/rms_norm.h"

#include "kernels/device/arg_check.h"
#include "kernels/norm/rms_norm_cpu.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {

absl::Status RmsNorm(const RmsNormArgs& args, const Stream& stream) {
  const ArgCheck check("RmsNorm");
  CHORUS_RETURN_IF_ERROR(check.Tensor("x", args.x, ArgCheck::kAny, ArgCheck::kAny, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("y", args.y, args.x.rows, args.x.cols, {DType::kF32, DType::kBf16}));
  CHORUS_RETURN_IF_ERROR(check.NotNull("weight", args.weight));
  if (args.x.rows == 0 || args.x.cols == 0) return absl::OkStatus();
  RmsNormCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
