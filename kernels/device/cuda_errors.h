// What the CUDA runtime's error codes mean to us. Includes CUDA; for the .cc files of the device
// layer only.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_ERRORS_H_
#define CHORUS_KERNELS_DEVICE_CUDA_ERRORS_H_

#include <cuda_runtime_api.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/device/cuda_choice.h"

namespace chorus::kernels {

// "cudaErrorNoDevice: no CUDA-capable device is detected".
std::string CudaErrorText(cudaError_t error);

// Whether the context is lost. True for every code that is not known to be harmless.
bool IsStickyCudaError(cudaError_t error);

// The Status of `op` that failed with `error` (not cudaSuccess); `detail` may be empty.
absl::Status CudaErrorStatus(cudaError_t error, absl::string_view op, absl::string_view detail);

// At start, of listing GPUs and of making a context.
CudaProblem ProblemOf(cudaError_t error);

// Asks the driver, the environment and /dev what this machine has.
CudaFacts GatherCudaFacts();

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_ERRORS_H_
