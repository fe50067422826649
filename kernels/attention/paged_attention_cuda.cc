#include "kernels/attention/paged_attention_cuda.h"

#include "absl/strings/str_cat.h"
#include "kernels/attention/flash_launch.h"
#include "kernels/device/cuda_device.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {

absl::Status CheckCudaHeadDim(int32_t head_dim) {
  // The library compiles for 80 and 96, and is wrong.
  if (head_dim == 64 || head_dim == 128 || head_dim == 256) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("PagedAttention: head_dim is ", head_dim, ", want 64, 128 or 256"));
}

absl::Status PagedAttentionCuda(const DeviceAttentionArgs& args, DeviceStream* stream) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceAttention(args));
  CHORUS_RETURN_IF_ERROR(CheckCudaHeadDim(args.pool.head_dim));
  const bool bf16 = args.pool.dtype == DType::kBf16;
  const auto launch =
      args.pool.head_dim == 64    ? (bf16 ? LaunchFlashBf16Head64 : LaunchFlashF16Head64)
      : args.pool.head_dim == 128 ? (bf16 ? LaunchFlashBf16Head128 : LaunchFlashF16Head128)
                                  : (bf16 ? LaunchFlashBf16Head256 : LaunchFlashF16Head256);
  const std::string error = launch(args, CudaDevice::Native(stream));
  // Says it better where the device is lost.
  CHORUS_RETURN_IF_ERROR(CudaDevice::LaunchStatus("PagedAttention", stream));
  if (error.empty()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("PagedAttention: ", error));
}

}  // namespace chorus::kernels
