// OpenGpu: the GPU that a device spec means. gpu_cuda.cc where chorusd is built with CUDA, else
// gpu_none.cc.
#ifndef CHORUS_SERVER_DEVICE_GPU_H_
#define CHORUS_SERVER_DEVICE_GPU_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/device/serving_device.h"

namespace chorus::server {

// NotFound when the machine has no GPU or hides it; FailedPrecondition when there is one that
// cannot be used; Unimplemented without CUDA.
absl::StatusOr<ServingDevice> OpenGpu(const std::string& spec);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_DEVICE_GPU_H_
