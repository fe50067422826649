#include "kernels/attention/flash_launch.cuh"

namespace chorus::kernels {

std::string LaunchFlashBf16Head128(const DeviceAttentionArgs& args, CUstream_st* stream) {
  return FlashLaunch<128, __nv_bfloat16>::Run(args, stream);
}

}  // namespace chorus::kernels
