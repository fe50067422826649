// What every Device asks of a kernel before it lets it launch.
#ifndef CHORUS_KERNELS_DEVICE_BLOCK_LIMITS_H_
#define CHORUS_KERNELS_DEVICE_BLOCK_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device/device.h"

namespace chorus::kernels {

// FailedPrecondition where a block has not so much shared memory. `shared_bytes` is what a launch
// asks for; `code_bytes` what the kernel's code has of itself, as CUDA says. From 9.0 on CUDA
// counts into it what the system keeps of every block, `reserved_bytes`; the device's limit is
// without.
absl::Status CheckBlockShared(const Kernel& kernel, int32_t shared_bytes, int64_t code_bytes,
                              int64_t reserved_bytes, const DeviceInfo& info);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_BLOCK_LIMITS_H_
