// The contract of the runner on the simulator.
#include "tests/simt/sim_backend.h"
#include "tests/support/runner_contract.h"

namespace chorus::test {

std::vector<RunnerDevice> RunnerDevices() {
  using kernels::DType;
  using kernels::SimOrder;
  return {{.name = "Sim_lazy",
           .architecture = "Qwen3ForCausalLM",
           .dtype = DType::kF16,
           .open = OnSimulator({.order = SimOrder::kLazy, .toward_zero = true})},
          {.name = "Sim_random",
           .architecture = "LlamaForCausalLM",
           .dtype = DType::kBf16,
           .open = OnSimulator({.order = SimOrder::kRandom, .seed = 3})},
          {.name = "Sim_early_before",
           .architecture = "LlamaForCausalLM",
           .dtype = DType::kF16,
           .open = OnSimulator({.order = SimOrder::kTimed, .seed = 4}),
           .lora = {.beside_base = false, .begin_early = true}},
          {.name = "Sim_clusters_of_8",
           .architecture = "LlamaForCausalLM",
           .dtype = DType::kBf16,
           .open = OnSimulator({.order = SimOrder::kRandom, .seed = 5}),
           .lora = {.cluster_blocks = 8}}};
}

}  // namespace chorus::test
