#include "kernels/attention/flash_launch.cuh"

namespace chorus::kernels {

std::string LaunchFlashBf16Head256(const DeviceAttentionArgs& args, CUstream_st* stream) {
  return FlashLaunch<256, __nv_bfloat16>::Run(args, stream);
}

}  // namespace chorus::kernels
