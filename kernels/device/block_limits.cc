#include "kernels/device/block_limits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace chorus::kernels {

absl::Status CheckBlockShared(const Kernel& kernel, int32_t shared_bytes, int64_t code_bytes,
                              int64_t reserved_bytes, const DeviceInfo& info) {
  const int64_t counted = info.compute_capability >= 90 ? std::min(code_bytes, reserved_bytes) : 0;
  const int64_t shared = shared_bytes + code_bytes - counted;
  if (shared <= info.max_block_shared_bytes) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(kernel.name, ": needs ", shared,
                                                    " bytes of shared memory a block, ", info.name,
                                                    " has ", info.max_block_shared_bytes));
}

}  // namespace chorus::kernels
