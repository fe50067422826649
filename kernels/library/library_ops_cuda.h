// The libraries of a CUDA device.
#ifndef CHORUS_KERNELS_LIBRARY_LIBRARY_OPS_CUDA_H_
#define CHORUS_KERNELS_LIBRARY_LIBRARY_OPS_CUDA_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/library/library_ops.h"

namespace chorus::kernels {

// Takes the workspace of one stream. `choices_path` as LinearPlanner::Create has it. NotFound
// without cuBLASLt. REQUIRES: a CudaDevice, which outlives the result.
absl::StatusOr<std::unique_ptr<LibraryOps>> MakeCudaLibraryOps(Device* device,
                                                               std::string choices_path);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LIBRARY_LIBRARY_OPS_CUDA_H_
