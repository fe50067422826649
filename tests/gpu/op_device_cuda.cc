// The cases of ops on the first GPU.
#include "kernels/device/cuda_device.h"
#include "kernels/status_macros.h"
#include "tests/support/ops/op_on_device.h"

namespace chorus::test {

absl::StatusOr<OpDevice> OpenOpDevice() {
  OpDevice opened;
  CHORUS_ASSIGN_OR_RETURN(opened.device, kernels::CudaDevice::Open("auto"));
  return opened;
}

}  // namespace chorus::test
