#include "kernels/attention/flash_launch.cuh"

namespace chorus::kernels {

std::string LaunchFlashF16Head128(const DeviceAttentionArgs& args, CUstream_st* stream) {
  return FlashLaunch<128, half>::Run(args, stream);
}

}  // namespace chorus::kernels
