#include "kernels/device/cluster_check.h"

#include "absl/strings/str_cat.h"

namespace chorus::kernels {

absl::Status CheckClusters(const Kernel& kernel, const DeviceInfo& info) {
  if (kernel.cluster_blocks == 1 || info.compute_capability >= 90) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      kernel.name, ": runs in clusters of thread blocks, which need compute capability 9.0, ",
      info.name, " has ", info.compute_capability / 10, ".", info.compute_capability % 10));
}

absl::Status NoClusterFits(const Kernel& kernel, const DeviceInfo& info) {
  return absl::FailedPreconditionError(
      absl::StrCat(kernel.name, ": no cluster of ", kernel.cluster_blocks,
                   " thread blocks fits on the multiprocessors of ", info.name));
}

}  // namespace chorus::kernels
