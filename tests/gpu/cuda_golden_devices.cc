// The golden tests of the runner on the first GPU. The attention there has no heads as narrow as
// the goldens', so they are widened.
#include "tests/gpu/cuda_backend.h"
#include "tests/support/golden_contract.h"

namespace chorus::test {

std::vector<GoldenDevice> GoldenDevices() {
  std::vector<GoldenDevice> devices;
  const auto add = [&](const std::string& model, kernels::DType dtype, const std::string& kind,
                       const engine::DeviceLoraSharing& lora, const MakeDevice& open) {
    devices.push_back({.name = "Cuda_" + model + "_" + std::string(kernels::Name(dtype)) + kind,
                       .model = model,
                       .dtype = dtype,
                       .open = open,
                       .lora = lora,
                       .heads = GoldenHeads::kWide});
  };
  for (const kernels::DType dtype : {kernels::DType::kBf16, kernels::DType::kF16}) {
    for (const char* model :
         {"llama", "llama_minimal", "llama_tied", "llama_biased", "llama31", "llama_linear",
          "llama_yarn", "mistral", "qwen2", "qwen2_yarn", "qwen3", "llama_alora", "qwen3_alora"}) {
      add(model, dtype, "", {}, OnGpu);
    }
    add("llama", dtype, "_delta16", {.wide_delta_rows = 0}, OnGpu);
    add("llama_biased", dtype, "_clusters_of_4", {.cluster_blocks = 4}, OnGpuWithClusters);
    add("qwen3", dtype, "_clusters_of_8", {.cluster_blocks = 8}, OnGpuWithClusters);
  }
  return devices;
}

}  // namespace chorus::test
