// The first GPU as a device for DeviceBackend.
#ifndef CHORUS_TESTS_GPU_CUDA_BACKEND_H_
#define CHORUS_TESTS_GPU_CUDA_BACKEND_H_

#include <memory>
#include <utility>

#include "kernels/device/cuda_device.h"
#include "kernels/library/library_ops_cuda.h"
#include "kernels/status_macros.h"
#include "tests/support/device_backend.h"

namespace chorus::test {

inline absl::StatusOr<DeviceSetup> OnGpu() {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::CudaDevice> device,
                          kernels::CudaDevice::Open("auto"));
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::LibraryOps> ops,
                          kernels::MakeCudaLibraryOps(device.get(), /*choices_path=*/""));
  return DeviceSetup{.device = std::move(device), .ops = std::move(ops)};
}

inline absl::StatusOr<DeviceSetup> OnGpuWithClusters() {
  CHORUS_ASSIGN_OR_RETURN(DeviceSetup setup, OnGpu());
  if (setup.device->info().compute_capability >= 90) return setup;
  return absl::NotFoundError("the GPU has no clusters of thread blocks");
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_GPU_CUDA_BACKEND_H_
