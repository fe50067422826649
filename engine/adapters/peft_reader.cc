#include "engine/adapters/peft_reader.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/adapters/adapter_config.h"
#include "engine/adapters/adapter_digest.h"
#include "engine/adapters/tensor_values.h"
#include "engine/model/safetensors.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::LoraModule;

constexpr char kFile[] = "adapter_model.safetensors";
constexpr double kMaxScale = 1e4;
constexpr size_t kScanSlice = size_t{1} << 20;

enum class Part { kA, kB, kBias };

struct ParsedName {
  int32_t layer = 0;
  LoraModule module = kernels::kQ;
  Part part = Part::kA;
};

// The tensors that a file has for one linear.
struct FoundModule {
  const SafetensorsEntry* a = nullptr;
  const SafetensorsEntry* b = nullptr;
  const SafetensorsEntry* bias = nullptr;
};

using ModuleKey = std::pair<int32_t, LoraModule>;

// The path by which PEFT's patterns know a module.
std::string PathOf(const ModuleKey& key) {
  return absl::StrCat("model.layers.", key.first, ".", kLinearNames[key.second]);
}

// Why a name that the grammar does not know is refused.
absl::Status UnknownName(const std::string& name) {
  const std::string object = absl::StrCat(kFile, ": ", Quoted(name));
  if (absl::StrContains(name, "lora_magnitude_vector")) {
    return Refuse(Reason::kAdapterUnsupportedKind, object, "", "DoRA is not supported");
  }
  if (absl::StrContains(name, "lora_embedding_") || absl::StrContains(name, "embed_tokens")) {
    return Refuse(Reason::kAdapterUnsupportedKind, object, "",
                  "LoRA on embeddings, and replaced embeddings, are not supported");
  }
  if (absl::StrContains(name, "lm_head")) {
    return Refuse(Reason::kAdapterUnsupportedKind, object, "",
                  "LoRA on lm_head, and a replaced lm_head, are not supported");
  }
  return Refuse(
      Reason::kAdapterTensorUnknown, object,
      "base_model.model.model.layers.N.{self_attn.{q,k,v,o}_proj,mlp.{gate,up,down}_proj}."
      "{lora_A.weight,lora_B.weight,lora_B.bias}",
      "a tensor that nothing would use");
}

std::optional<ParsedName> ParseName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "base_model.model.model.layers.")) return std::nullopt;
  const size_t dot = name.find('.');
  if (dot == absl::string_view::npos || dot == 0 || dot > 6) return std::nullopt;
  ParsedName parsed;
  // Canonical decimal only: "01" would be a second name for layer 1.
  if (!absl::SimpleAtoi(name.substr(0, dot), &parsed.layer) ||
      absl::StrCat(parsed.layer) != name.substr(0, dot)) {
    return std::nullopt;
  }
  name.remove_prefix(dot + 1);
  if (absl::ConsumeSuffix(&name, ".lora_A.weight")) {
    parsed.part = Part::kA;
  } else if (absl::ConsumeSuffix(&name, ".lora_B.weight")) {
    parsed.part = Part::kB;
  } else if (absl::ConsumeSuffix(&name, ".lora_B.bias")) {
    parsed.part = Part::kBias;
  } else {
    return std::nullopt;
  }
  for (int module = 0; module < kernels::kNumLoraModules; ++module) {
    if (name == kLinearNames[module]) {
      parsed.module = static_cast<LoraModule>(module);
      return parsed;
    }
  }
  return std::nullopt;
}

absl::StatusOr<DType> TypeOf(const SafetensorsEntry& entry) {
  if (entry.dtype == "F32") return DType::kF32;
  if (entry.dtype == "F16") return DType::kF16;
  if (entry.dtype == "BF16") return DType::kBf16;
  return Refuse(Reason::kAdapterTensorType, absl::StrCat(kFile, ": ", entry.name),
                "F32, F16 or BF16", entry.dtype);
}

absl::StatusOr<std::map<ModuleKey, FoundModule>> GroupByModule(
    const std::vector<SafetensorsEntry>& entries, const ModelConfig& model) {
  std::map<ModuleKey, FoundModule> found;
  for (const SafetensorsEntry& entry : entries) {
    const std::optional<ParsedName> name = ParseName(entry.name);
    if (!name.has_value()) return UnknownName(entry.name);
    if (name->layer < 0 || name->layer >= model.layers) {
      return Refuse(Reason::kAdapterTensorUnknown, absl::StrCat(kFile, ": ", entry.name),
                    absl::StrCat("a layer from 0 to ", model.layers - 1),
                    absl::StrCat(name->layer));
    }
    CHORUS_RETURN_IF_ERROR(TypeOf(entry).status());
    FoundModule& module = found[{name->layer, name->module}];
    (name->part == Part::kA ? module.a : name->part == Part::kB ? module.b : module.bias) = &entry;
  }
  if (found.empty()) {
    return Refuse(Reason::kAdapterTensorMissing, kFile, "at least one adapted linear", "none");
  }
  return found;
}

// The file's modules must be exactly those that the config targets.
absl::Status CheckTargets(const AdapterConfig& config, const ModelConfig& model,
                          const std::map<ModuleKey, FoundModule>& found) {
  for (const std::string& name : config.targets.names) {
    if (name == "lm_head" || name == "embed_tokens" || absl::EndsWith(name, ".embed_tokens")) {
      return Refuse(Reason::kAdapterUnsupportedKind, "adapter_config.json: target_modules", "",
                    absl::StrCat("LoRA on ", name, " is not supported"));
    }
  }
  for (int32_t layer = 0; layer < model.layers; ++layer) {
    for (int m = 0; m < kernels::kNumLoraModules; ++m) {
      const ModuleKey key(layer, static_cast<LoraModule>(m));
      const std::string path = PathOf(key);
      const bool wanted = config.Targets(path, layer);
      if (wanted == found.contains(key)) continue;
      return Refuse(wanted ? Reason::kAdapterTensorMissing : Reason::kAdapterTarget,
                    absl::StrCat(kFile, ": ", path),
                    wanted ? "lora_A and lora_B, because adapter_config.json targets it"
                           : "nothing, because adapter_config.json does not target it",
                    wanted ? "nothing" : "tensors");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const SafetensorsEntry& entry, const std::vector<uint64_t>& want) {
  if (entry.shape == want) return absl::OkStatus();
  return Refuse(Reason::kAdapterTensorShape, absl::StrCat(kFile, ": ", entry.name), ShapeText(want),
                ShapeText(entry.shape));
}

absl::StatusOr<TensorSpan> SpanOf(const SafetensorsEntry& entry) {
  CHORUS_ASSIGN_OR_RETURN(const DType dtype, TypeOf(entry));
  return TensorSpan{dtype, entry.offset, entry.bytes};
}

absl::StatusOr<AdapterModule> ReadModule(const ModuleKey& key, const FoundModule& found,
                                         const AdapterConfig& config, const ModelConfig& model) {
  const std::string path = PathOf(key);
  for (const auto& [part, entry] : {std::pair("lora_A", found.a), std::pair("lora_B", found.b)}) {
    if (entry == nullptr) {
      return Refuse(Reason::kAdapterTensorMissing, absl::StrCat(kFile, ": ", path, ".", part),
                    "a tensor", "nothing");
    }
  }
  if ((found.bias != nullptr) != config.lora_bias) {
    return Refuse(config.lora_bias ? Reason::kAdapterTensorMissing : Reason::kAdapterTensorUnknown,
                  absl::StrCat(kFile, ": ", path, ".lora_B.bias"),
                  config.lora_bias ? "a tensor, because lora_bias is true"
                                   : "nothing, because lora_bias is false",
                  config.lora_bias ? "nothing" : "a tensor");
  }
  AdapterModule module;
  module.layer = key.first;
  module.module = key.second;
  module.rank = config.RankOf(path);
  module.alpha = config.AlphaOf(path);
  const ModelConfig::LinearShape shape = model.linear(key.second);
  const auto rank = static_cast<uint64_t>(module.rank);
  const auto inputs = static_cast<uint64_t>(shape.inputs);
  const auto outputs = static_cast<uint64_t>(shape.outputs);
  CHORUS_RETURN_IF_ERROR(CheckShape(*found.a, {rank, inputs}));
  CHORUS_RETURN_IF_ERROR(CheckShape(*found.b, {outputs, rank}));
  CHORUS_ASSIGN_OR_RETURN(module.a, SpanOf(*found.a));
  CHORUS_ASSIGN_OR_RETURN(module.b, SpanOf(*found.b));
  if (found.bias != nullptr) {
    CHORUS_RETURN_IF_ERROR(CheckShape(*found.bias, {outputs}));
    CHORUS_ASSIGN_OR_RETURN(module.bias, SpanOf(*found.bias));
  }
  // PEFT: lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora (Kalajdzievski, 2023).
  const double scale =
      module.alpha / (config.use_rslora ? std::sqrt(static_cast<double>(module.rank))
                                        : static_cast<double>(module.rank));
  if (std::abs(scale) > kMaxScale) {
    return Refuse(Reason::kAdapterConfigInvalid, absl::StrCat("scale of ", path),
                  absl::StrCat("at most ", kMaxScale, " in size"), absl::StrCat(scale));
  }
  module.scale = static_cast<float>(scale);
  return module;
}

absl::Status CheckFinite(const SafetensorsEntry& entry, const ByteSource& file) {
  CHORUS_ASSIGN_OR_RETURN(const DType dtype, TypeOf(entry));
  const auto width = static_cast<uint64_t>(kernels::ByteSize(dtype));
  std::vector<std::byte> bytes(std::min<uint64_t>(kScanSlice, entry.bytes));
  std::vector<float> values(bytes.size() / width);
  for (uint64_t done = 0; done < entry.bytes; done += bytes.size()) {
    const size_t size = std::min<uint64_t>(bytes.size(), entry.bytes - done);
    CHORUS_RETURN_IF_ERROR(file.Read(entry.offset + done, std::span(bytes).first(size)));
    ToFloats(std::span(bytes).first(size), dtype, values.data());
    for (size_t i = 0; i < size / width; ++i) {
      if (std::isfinite(values[i])) continue;
      return Refuse(Reason::kAdapterNotFinite, absl::StrCat(kFile, ": ", entry.name),
                    "finite values", absl::StrCat(values[i], " at element ", done / width + i));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AdapterSpec> ReadPeftAdapter(std::string_view config_json, const ByteSource& tensors,
                                            const ModelConfig& model) {
  CHORUS_ASSIGN_OR_RETURN(const AdapterConfig config, ParseAdapterConfig(config_json));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<SafetensorsEntry> entries,
                          ReadSafetensorsHeader(tensors, kFile));
  CHORUS_ASSIGN_OR_RETURN(const auto found, GroupByModule(entries, model));
  CHORUS_RETURN_IF_ERROR(CheckTargets(config, model, found));
  AdapterSpec spec;
  spec.use_rslora = config.use_rslora;
  spec.base_model_name_or_path = config.base_model_name_or_path;
  for (const auto& [key, module] : found) {
    CHORUS_ASSIGN_OR_RETURN(AdapterModule read, ReadModule(key, module, config, model));
    if (read.alpha == 0.0) {
      spec.warnings.push_back(absl::StrCat("alpha of ", PathOf(key), " is 0: it changes nothing"));
    }
    spec.modules.push_back(std::move(read));
  }
  std::vector<DigestTensor> digested;
  for (const SafetensorsEntry& entry : entries) {
    CHORUS_RETURN_IF_ERROR(CheckFinite(entry, tensors));
    digested.push_back({entry.name, entry.dtype, entry.shape, entry.offset, entry.bytes});
  }
  CHORUS_ASSIGN_OR_RETURN(spec.digest, ComputeDigest(std::move(digested), spec, tensors));
  return spec;
}

}  // namespace chorus::engine
