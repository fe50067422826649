// The tensors of a PEFT LoRA file by name. Exactly one form of each name is accepted:
//
//   key    := "base_model.model.model.layers." N "." linear "." part
//   N      := decimal without leading zeros, below the model's number of layers
//   linear := "self_attn." ("q" | "k" | "v" | "o") "_proj" | "mlp." ("gate" | "up" | "down")
//   "_proj" part   := "lora_A.weight" | "lora_B.weight" | "lora_B.bias"
#ifndef CHORUS_ENGINE_ADAPTERS_PEFT_TENSORS_H_
#define CHORUS_ENGINE_ADAPTERS_PEFT_TENSORS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/safetensors.h"
#include "kernels/device/dtype.h"
#include "kernels/lora/slots.h"

namespace chorus::engine {

inline constexpr char kAdapterTensorFile[] = "adapter_model.safetensors";

enum class LoraPart : int { kA, kB, kBias };
inline constexpr std::array<const char*, 3> kLoraPartNames = {"lora_A", "lora_B", "lora_B.bias"};

// "self_attn.q_proj.lora_A of layer 3", for messages.
std::string LoraTensorText(int32_t layer, kernels::LoraModule module, LoraPart part);

// What a file has for one linear, by LoraPart; null for what it lacks.
using FoundModule = std::array<const SafetensorsEntry*, 3>;
using FoundModules = std::map<std::pair<int32_t, kernels::LoraModule>, FoundModule>;

// Sorts a file's tensors by linear; borrows `entries`. InvalidArgument for a tensor that nothing
// would use, naming the kind of adapter it belongs to when it shows.
absl::StatusOr<FoundModules> GroupByModule(const std::vector<SafetensorsEntry>& entries,
                                           int32_t num_layers);

// The type of a weight. InvalidArgument for all but F32, F16 and BF16.
absl::StatusOr<kernels::DType> WeightType(const SafetensorsEntry& entry);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_PEFT_TENSORS_H_
