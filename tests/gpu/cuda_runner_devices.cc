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

absl::StatusOr<DeviceSetup> OnGpuWithClusters() {
  CHORUS_ASSIGN_OR_RETURN(DeviceSetup setup, OnGpu());
  if (setup.device->info().compute_capability >= 90) return setup;
  return absl::NotFoundError("the GPU has no clusters of thread blocks");
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
  for (const bool beside : {false, true}) {
    devices.push_back({.name = std::string("Cuda_early_") + (beside ? "beside" : "before"),
                       .architecture = "LlamaForCausalLM",
                       .dtype = kernels::DType::kBf16,
                       .open = OnGpu,
                       .lora = {.beside_base = beside, .begin_early = true}});
  }
  for (const int32_t blocks : {4, 8}) {
    for (const kernels::DType dtype : {kernels::DType::kBf16, kernels::DType::kF16}) {
      devices.push_back({.name = "Cuda_clusters_of_" + std::to_string(blocks) + "_" +
                                 std::string(kernels::Name(dtype)),
                         .architecture = "LlamaForCausalLM",
                         .dtype = dtype,
                         .open = OnGpuWithClusters,
                         .lora = {.cluster_blocks = blocks}});
    }
  }
  return devices;
}

}  // namespace chorus::test
