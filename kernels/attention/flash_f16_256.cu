#include "kernels/attention/flash_launch.cuh"

namespace chorus::kernels {

std::string LaunchFlashF16Head256(const DeviceAttentionArgs& args, CUstream_st* stream) {
  return FlashLaunch<256, half>::Run(args, stream);
}

}  // namespace chorus::kernels
