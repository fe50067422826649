// The contract of the runner on the first GPU.
#include "kernels/device/cuda_device.h"
#include "kernels/library/library_ops_cuda.h"
#include "kernels/status_macros.h"
#include "tests/support/runner_contract.h"

namespace chorus::test {
namespace {

absl::StatusOr<DeviceSetup> OnGpu() {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::CudaDevice> device,
                          kernels::CudaDevice::Open("auto"));
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::LibraryOps> ops,
                          kernels::MakeCudaLibraryOps(device.get(), /*choices_path=*/""));
  return DeviceSetup{.device = std::move(device), .ops = std::move(ops)};
}

}  // namespace

std::vector<RunnerDevice> RunnerDevices() {
  std::vector<RunnerDevice> devices;
  for (const char* architecture : {"Llama", "Qwen2", "Qwen3"}) {
    for (const kernels::DType dtype : {kernels::DType::kBf16, kernels::DType::kF16}) {
      devices.push_back(
          {.name = std::string("Cuda_") + architecture + "_" + std::string(kernels::Name(dtype)),
           .architecture = std::string(architecture) + "ForCausalLM",
           .dtype = dtype,
           .open = OnGpu});
    }
  }
  return devices;
}

}  // namespace chorus::test
