#include "kernels/attention/flash_launch.cuh"

namespace chorus::kernels {

std::string LaunchFlashBf16Head64(const DeviceAttentionArgs& args, CUstream_st* stream) {
  return FlashLaunch<64, __nv_bfloat16>::Run(args, stream);
}

}  // namespace chorus::kernels
