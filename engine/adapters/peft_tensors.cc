#include "engine/adapters/peft_tensors.h"

#include <optional>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/model/model_config.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr std::string_view kRoot = "base_model.model.";
constexpr std::string_view kSuffixes[] = {".lora_A.weight", ".lora_B.weight", ".lora_B.bias"};

struct TensorKey {
  int32_t layer = 0;
  kernels::LoraModule module = kernels::kQ;
  LoraPart part = LoraPart::kA;
};

// Names that show which other kind of adapter a file holds.
constexpr std::pair<std::string_view, std::string_view> kOtherKinds[] = {
    {"lora_magnitude_vector", "DoRA"},
    {"lora_embedding_", "LoRA on the embeddings"},
    {"trainable_tokens", "trainable tokens"},
    {"token_adapter", "trainable tokens"},
    {"lora_E", "AdaLoRA"},
    {"lora_diag", "KaSA"},
    {"lora_monteclora", "MonteCLoRA's sampler"},
    {"lora_latent_mapping", "LoRA-XS"},
    {"lm_head.lora_", "LoRA on lm_head"},
    {"lm_head", "a replaced lm_head"},
    {"embed_tokens", "replaced embeddings"},
    {"base_layer.bias", "trained biases of the base model"},
    {"_proj.bias", "trained biases of the base model"},
    {"modules_to_save", "whole modules beside LoRA"},
    {"norm.weight", "trained norms"},
    {"hada_w", "LoHa"},
    {"lokr_w", "LoKr"},
    {"ia3_l", "IA3"},
    {"vera_lambda", "VeRA"},
    {"oft_", "OFT"},
    {"prompt_embeddings", "a prompt or prefix"},
};

absl::Status RefuseName(const std::string& name) {
  const std::string object = absl::StrCat(kAdapterTensorFile, ": ", name);
  const std::string expected =
      "base_model.model.model.layers.N. self_attn.{q,k,v,o}_proj or mlp.{gate,up,down}_proj "
      ".lora_{A,B}.weight";
  if (!absl::StartsWith(name, kRoot.data())) {
    const bool prompt = absl::StrContains(name, "prompt_embeddings");
    return Refuse(prompt ? Reason::kAdapterUnsupportedKind : Reason::kAdapterTensorUnknown, object,
                  expected, prompt ? "a prompt or prefix" : "a name without base_model.model.");
  }
  for (const auto& [part, kind] : kOtherKinds) {
    if (!absl::StrContains(name, std::string(part))) continue;
    return Refuse(Reason::kAdapterUnsupportedKind, object, "plain LoRA on the decoder's linears",
                  absl::StrCat(std::string(kind), ", which is not supported"));
  }
  return Refuse(Reason::kAdapterTensorUnknown, object, expected, "a tensor that nothing would use");
}

std::optional<TensorKey> ParseKey(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "base_model.model.model.layers.")) return std::nullopt;
  const size_t dot = name.find('.');
  if (dot == absl::string_view::npos) return std::nullopt;
  TensorKey key;
  // Canonical decimal only: "01" and "+1" would be further names of layer 1.
  if (!absl::SimpleAtoi(name.substr(0, dot), &key.layer) || key.layer < 0 ||
      absl::StrCat(key.layer) != name.substr(0, dot)) {
    return std::nullopt;
  }
  name.remove_prefix(dot + 1);
  for (size_t part = 0; part < std::size(kSuffixes); ++part) {
    absl::string_view linear = name;
    if (!absl::ConsumeSuffix(&linear, absl::string_view(kSuffixes[part].data()))) continue;
    key.part = static_cast<LoraPart>(part);
    for (int module = 0; module < kernels::kNumLoraModules; ++module) {
      key.module = static_cast<kernels::LoraModule>(module);
      if (linear == kLinearNames[module]) return key;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string LoraTensorText(int32_t layer, kernels::LoraModule module, LoraPart part) {
  return absl::StrCat(kLinearNames[module], ".", kLoraPartNames[static_cast<size_t>(part)],
                      " of layer ", layer);
}

absl::StatusOr<FoundModules> GroupByModule(const std::vector<SafetensorsEntry>& entries,
                                           int32_t num_layers) {
  FoundModules found;
  for (const SafetensorsEntry& entry : entries) {
    const std::optional<TensorKey> key = ParseKey(entry.name);
    if (!key.has_value()) return RefuseName(entry.name);
    if (key->layer >= num_layers) {
      return Refuse(Reason::kAdapterTensorUnknown,
                    absl::StrCat(kAdapterTensorFile, ": ", entry.name),
                    absl::StrCat("a layer from 0 to ", num_layers - 1), absl::StrCat(key->layer));
    }
    found[{key->layer, key->module}][static_cast<size_t>(key->part)] = &entry;
  }
  if (found.empty()) {
    return Refuse(Reason::kAdapterTensorMissing, kAdapterTensorFile, "lora_A and lora_B tensors",
                  "none");
  }
  return found;
}

absl::StatusOr<kernels::DType> WeightType(const SafetensorsEntry& entry) {
  if (entry.dtype == "F32") return kernels::DType::kF32;
  if (entry.dtype == "F16") return kernels::DType::kF16;
  if (entry.dtype == "BF16") return kernels::DType::kBf16;
  return Refuse(Reason::kAdapterTensorType, absl::StrCat(kAdapterTensorFile, ": ", entry.name),
                "F32, F16 or BF16", entry.dtype);
}

}  // namespace chorus::engine
