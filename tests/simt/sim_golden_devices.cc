// The golden tests of the runner on the simulator.
#include "absl/strings/str_cat.h"
#include "tests/simt/sim_backend.h"
#include "tests/support/golden_contract.h"

namespace chorus::test {
namespace {

using kernels::DType;
using kernels::SimOptions;
using kernels::SimOrder;

struct Setting {
  const char* model;
  DType dtype;
  SimOptions sim;
  engine::DeviceLoraSharing lora = {};
  GoldenHeads heads = GoldenHeads::kRecorded;
};

SimOptions In(SimOrder order, bool toward_zero = false) {
  return {.order = order, .toward_zero = toward_zero};
}

// A card without bulk copies.
SimOptions Older(SimOrder order) {
  SimOptions sim{.order = order};
  sim.info.compute_capability = 80;
  sim.info.max_block_shared_bytes = 163 << 10;
  return sim;
}

std::string NameOf(const Setting& setting) {
  const engine::DeviceLoraSharing& lora = setting.lora;
  return absl::StrCat(setting.model, "_", std::string(kernels::Name(setting.dtype)), "_",
                      setting.sim.info.compute_capability,
                      lora.cluster_blocks == 0 ? "" : absl::StrCat("_in_", lora.cluster_blocks),
                      lora.wide_delta_rows == 0 ? "_delta16" : "",
                      setting.heads == GoldenHeads::kWide ? "_wide" : "");
}

}  // namespace

std::vector<GoldenDevice> GoldenDevices() {
  const Setting settings[] = {
      {"llama", DType::kBf16, In(SimOrder::kLazy)},
      {"llama", DType::kBf16, Older(SimOrder::kRandom)},
      {"llama", DType::kF16, In(SimOrder::kEager)},
      {"llama", DType::kBf16, In(SimOrder::kRandom), {.cluster_blocks = 8}},
      {"llama", DType::kBf16, In(SimOrder::kTimed), {.wide_delta_rows = 0}},
      {"llama", DType::kF16, Older(SimOrder::kRandom), {.wide_delta_rows = 0}},
      {"llama_alora", DType::kBf16, In(SimOrder::kLazy)},
      {"llama_alora", DType::kF16, Older(SimOrder::kRandom), {.wide_delta_rows = 0}},
      {"llama_alora", DType::kBf16, In(SimOrder::kEager), {.cluster_blocks = 8}},
      {"llama_minimal", DType::kBf16, In(SimOrder::kRandom)},
      {"llama_minimal", DType::kF16, In(SimOrder::kTimed, true)},
      {"llama_tied", DType::kBf16, In(SimOrder::kTimed)},
      {"llama_biased", DType::kBf16, In(SimOrder::kEager, true)},
      {"llama_biased", DType::kF16, In(SimOrder::kEager), {}, GoldenHeads::kWide},
      {"llama31", DType::kBf16, In(SimOrder::kLazy, true)},
      {"llama_linear", DType::kBf16, In(SimOrder::kRandom)},
      {"llama_yarn", DType::kBf16, In(SimOrder::kTimed)},
      {"mistral", DType::kBf16, In(SimOrder::kEager)},
      {"qwen2", DType::kBf16, In(SimOrder::kLazy, true)},
      {"qwen2_yarn", DType::kBf16, In(SimOrder::kRandom, true)},
      {"qwen2_yarn", DType::kBf16, In(SimOrder::kEager), {}, GoldenHeads::kWide},
      {"qwen3", DType::kBf16, In(SimOrder::kTimed, true)},
      {"qwen3", DType::kF16, Older(SimOrder::kLazy)},
      {"qwen3", DType::kF16, In(SimOrder::kLazy, true), {.cluster_blocks = 4}},
      {"qwen3", DType::kF16, In(SimOrder::kEager), {}, GoldenHeads::kWide},
      {"qwen3_alora", DType::kF16, In(SimOrder::kTimed, true)},
      {"qwen3_alora", DType::kBf16, In(SimOrder::kRandom), {}, GoldenHeads::kWide}};
  std::vector<GoldenDevice> devices;
  for (const Setting& setting : settings) {
    devices.push_back({.name = "Sim_" + NameOf(setting),
                       .model = setting.model,
                       .dtype = setting.dtype,
                       .open = OnSimulator(setting.sim),
                       .lora = setting.lora,
                       .heads = setting.heads});
  }
  return devices;
}

}  // namespace chorus::test
