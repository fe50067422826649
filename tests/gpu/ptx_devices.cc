// The first GPU as if it were of compute capability 8.0, for the contracts of the runner and the
// goldens.
#include "tests/gpu/cuda_backend.h"
#include "tests/gpu/older_device.h"
#include "tests/support/golden_contract.h"
#include "tests/support/runner_contract.h"

namespace chorus::test {
namespace {

using kernels::DType;

absl::StatusOr<DeviceSetup> OnOlderGpu() {
  CHORUS_ASSIGN_OR_RETURN(DeviceSetup setup, OnGpu());
  setup.device = std::make_unique<OlderDevice>(std::move(setup.device));
  return setup;
}

}  // namespace

std::vector<RunnerDevice> RunnerDevices() {
  return {{.name = "Ptx_Llama_bf16",
           .architecture = "LlamaForCausalLM",
           .dtype = DType::kBf16,
           .open = OnOlderGpu},
          {.name = "Ptx_Qwen3_f16",
           .architecture = "Qwen3ForCausalLM",
           .dtype = DType::kF16,
           .open = OnOlderGpu}};
}

std::vector<GoldenDevice> GoldenDevices() {
  std::vector<GoldenDevice> devices;
  for (const char* model : {"llama_biased", "qwen3"}) {
    for (const DType dtype : {DType::kBf16, DType::kF16}) {
      devices.push_back(
          {.name = "Ptx_" + std::string(model) + "_" + std::string(kernels::Name(dtype)),
           .model = model,
           .dtype = dtype,
           .open = OnOlderGpu,
           .heads = GoldenHeads::kWide});
    }
  }
  return devices;
}

}  // namespace chorus::test
