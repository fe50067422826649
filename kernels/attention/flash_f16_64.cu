#include "kernels/attention/flash_launch.cuh"

namespace chorus::kernels {

std::string LaunchFlashF16Head64(const DeviceAttentionArgs& args, CUstream_st* stream) {
  return FlashLaunch<64, half>::Run(args, stream);
}

}  // namespace chorus::kernels
