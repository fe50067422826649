// The contract of the runner on the first GPU.
#include "tests/gpu/cuda_backend.h"
#include "tests/support/runner_contract.h"

namespace chorus::test {

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
