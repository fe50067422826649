// What every Device refuses of kernels that run in clusters of thread blocks.
#ifndef CHORUS_KERNELS_DEVICE_CLUSTER_CHECK_H_
#define CHORUS_KERNELS_DEVICE_CLUSTER_CHECK_H_

#include "absl/status/status.h"
#include "kernels/device/device.h"

namespace chorus::kernels {

// FailedPrecondition where the kernel runs in clusters and the GPU has none.
absl::Status CheckClusters(const Kernel& kernel, const DeviceInfo& info);
// FailedPrecondition: not one of the kernel's clusters finds room.
absl::Status NoClusterFits(const Kernel& kernel, const DeviceInfo& info);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CLUSTER_CHECK_H_
