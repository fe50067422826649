#include "engine/adapters/peft_reader.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_config.h"
#include "engine/adapters/adapter_digest.h"
#include "engine/adapters/module_settings.h"
#include "engine/adapters/peft_tensors.h"
#include "engine/adapters/tensor_values.h"
#include "engine/model/safetensors.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::LoraModule;

constexpr double kMaxScale = 1e4;
// |scale| · max|A| · max|B| · rank above this can overflow activations: a warning.
constexpr double kLargeDelta = 1e4;
constexpr size_t kSlice = size_t{1} << 20;

using Shape = std::vector<uint64_t>;

// The file's modules must be exactly those that the config targets.
absl::Status CheckTargets(const std::vector<ModuleSettings>& settings, const FoundModules& found) {
  for (size_t i = 0; i < settings.size(); ++i) {
    const auto layer = static_cast<int32_t>(i / kernels::kNumLoraModules);
    const auto module = static_cast<LoraModule>(i % kernels::kNumLoraModules);
    const bool is_found = found.contains({layer, module});
    if (settings[i].targeted == is_found) continue;
    if (is_found) {
      return Refuse(
          Reason::kAdapterTarget,
          absl::StrCat(kAdapterTensorFile, ": ", kLinearNames[module], " of layer ", layer),
          "only what target_modules and its companions select", "tensors");
    }
    return Refuse(Reason::kAdapterTensorMissing, LoraTensorText(layer, module, LoraPart::kA),
                  "a tensor, because adapter_config.json targets it", "none");
  }
  return absl::OkStatus();
}

absl::Status CheckParts(int32_t layer, LoraModule module, const FoundModule& found,
                        bool lora_bias) {
  for (const LoraPart part : {LoraPart::kA, LoraPart::kB, LoraPart::kBias}) {
    const bool wanted = part != LoraPart::kBias || lora_bias;
    const bool is_found = found[static_cast<size_t>(part)] != nullptr;
    if (wanted == is_found) continue;
    return Refuse(wanted ? Reason::kAdapterTensorMissing : Reason::kAdapterTensorUnknown,
                  LoraTensorText(layer, module, part),
                  wanted ? "a tensor" : "none, because lora_bias is false",
                  wanted ? "none" : "a tensor");
  }
  return absl::OkStatus();
}

// lora_A's and lora_B's own idea of the rank, before shapes are compared in full.
absl::Status CheckRank(int32_t layer, LoraModule module, const FoundModule& found, int32_t rank) {
  const Shape& a = found[static_cast<size_t>(LoraPart::kA)]->shape;
  if (a.size() != 2 || a[0] == static_cast<uint64_t>(rank)) return absl::OkStatus();
  return Refuse(Reason::kAdapterRank, LoraTensorText(layer, module, LoraPart::kA),
                absl::StrCat("rank ", rank, ", as adapter_config.json says"),
                absl::StrCat("rank ", a[0]));
}

absl::StatusOr<TensorSpan> CheckTensor(const std::string& object, const SafetensorsEntry& entry,
                                       const Shape& want) {
  CHORUS_ASSIGN_OR_RETURN(const DType dtype, WeightType(entry));
  if (entry.shape != want) {
    return Refuse(Reason::kAdapterTensorShape, object, ShapeText(want), ShapeText(entry.shape));
  }
  return TensorSpan{dtype, entry.offset, entry.bytes};
}

absl::Status CheckTensors(const FoundModule& found, const ModelConfig& model, AdapterModule* out) {
  const ModelConfig::LinearShape shape = model.linear(out->module);
  const auto rank = static_cast<uint64_t>(out->rank);
  const auto inputs = static_cast<uint64_t>(shape.inputs);
  const auto outputs = static_cast<uint64_t>(shape.outputs);
  const auto text = [&](LoraPart part) { return LoraTensorText(out->layer, out->module, part); };
  CHORUS_ASSIGN_OR_RETURN(out->a, CheckTensor(text(LoraPart::kA), *found[0], {rank, inputs}));
  CHORUS_ASSIGN_OR_RETURN(out->b, CheckTensor(text(LoraPart::kB), *found[1], {outputs, rank}));
  if (found[2] == nullptr) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(out->bias, CheckTensor(text(LoraPart::kBias), *found[2], {outputs}));
  return absl::OkStatus();
}

absl::StatusOr<AdapterModule> ReadModule(int32_t layer, LoraModule module, const FoundModule& found,
                                         const ModuleSettings& settings,
                                         const AdapterConfig& config, const ModelConfig& model) {
  CHORUS_RETURN_IF_ERROR(CheckParts(layer, module, found, config.lora_bias));
  CHORUS_RETURN_IF_ERROR(CheckRank(layer, module, found, settings.rank));
  AdapterModule result;
  result.layer = layer;
  result.module = module;
  result.rank = settings.rank;
  result.alpha = settings.alpha;
  CHORUS_RETURN_IF_ERROR(CheckTensors(found, model, &result));
  // PEFT: lora_alpha / r (Hu et al., LoRA, §4.1), or lora_alpha / sqrt(r) with use_rslora
  // (Kalajdzievski, rsLoRA); in double, kept as f32.
  const double rank = settings.rank;
  const double scale = settings.alpha / (config.use_rslora ? std::sqrt(rank) : rank);
  if (std::abs(scale) > kMaxScale) {
    return Refuse(Reason::kAdapterScale,
                  absl::StrCat("scale of ", kLinearNames[module], " of layer ", layer),
                  "a size of at most 1e4", absl::StrCat(scale));
  }
  result.scale = static_cast<float>(scale);
  return result;
}

absl::Status CheckInvocation(const std::vector<int32_t>& invocation, const ModelConfig& model) {
  for (const int32_t token : invocation) {
    if (token < model.vocabulary) continue;
    return Refuse(Reason::kAdapterConfigInvalid,
                  absl::StrCat(kAdapterConfigFile, ": ", kInvocationField),
                  absl::StrCat("token ids below ", model.vocabulary, ", the model's vocabulary"),
                  absl::StrCat(token));
  }
  return absl::OkStatus();
}

// The one pass over the values: refuses what is not finite, feeds the digest, and keeps the largest
// magnitude of every tensor by its offset.
absl::StatusOr<std::map<uint64_t, float>> ScanValues(std::vector<const SafetensorsEntry*> entries,
                                                     const ByteSource& file,
                                                     DigestBuilder* digest) {
  std::sort(entries.begin(), entries.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  std::map<uint64_t, float> largest;
  std::vector<std::byte> slice(kSlice);
  for (const SafetensorsEntry* entry : entries) {
    CHORUS_ASSIGN_OR_RETURN(const DType dtype, WeightType(*entry));
    digest->BeginTensor(entry->name, entry->dtype, entry->shape);
    float& magnitude = largest[entry->offset];
    for (uint64_t done = 0; done < entry->bytes;) {
      const auto bytes = std::span(slice).first(std::min<uint64_t>(kSlice, entry->bytes - done));
      CHORUS_RETURN_IF_ERROR(file.Read(entry->offset + done, bytes));
      if (const std::optional<size_t> bad = FirstNotFinite(bytes, dtype); bad.has_value()) {
        const uint64_t element = done / static_cast<uint64_t>(kernels::ByteSize(dtype)) + *bad;
        return Refuse(Reason::kAdapterNotFinite,
                      absl::StrCat(kAdapterTensorFile, ": ", entry->name), "finite values",
                      absl::StrCat(ElementAt(bytes, dtype, *bad), " at element ", element));
      }
      magnitude = std::max(magnitude, LargestMagnitude(bytes, dtype));
      digest->AddData(bytes);
      done += bytes.size();
    }
  }
  return largest;
}

// One line per kind of trouble: how many modules have it, and which is the first.
void AddWarnings(const ModelConfig& model, const std::map<uint64_t, float>& largest,
                 AdapterSpec* spec) {
  if (!spec->base_model_name_or_path.empty() && !model.name_or_path.empty() &&
      spec->base_model_name_or_path != model.name_or_path) {
    spec->warnings.push_back(absl::StrCat("made for base model ",
                                          Quoted(spec->base_model_name_or_path), ", served is ",
                                          Quoted(model.name_or_path)));
  }
  const auto warn = [&](const char* what, const auto& applies) {
    const auto first = std::find_if(spec->modules.begin(), spec->modules.end(), applies);
    if (first == spec->modules.end()) return;
    spec->warnings.push_back(absl::StrCat(what, " in ",
                                          std::count_if(first, spec->modules.end(), applies),
                                          " of ", spec->modules.size(), " modules, first ",
                                          kLinearNames[first->module], " of layer ", first->layer));
  };
  warn("alpha is 0 (no effect)", [](const AdapterModule& m) { return m.alpha == 0.0; });
  warn("alpha is negative", [](const AdapterModule& m) { return m.alpha < 0.0; });
  warn("values are so large that activations may overflow", [&](const AdapterModule& m) {
    return std::abs(double{m.scale}) * largest.at(m.a.offset) * largest.at(m.b.offset) * m.rank >
           kLargeDelta;
  });
}

}  // namespace

absl::StatusOr<AdapterSpec> ReadPeftAdapter(std::string_view config_json, const ByteSource& tensors,
                                            const ModelConfig& model) {
  CHORUS_ASSIGN_OR_RETURN(const AdapterConfig config, ParseAdapterConfig(config_json));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<SafetensorsEntry> entries,
                          ReadSafetensorsHeader(tensors, kAdapterTensorFile));
  CHORUS_ASSIGN_OR_RETURN(const FoundModules found, GroupByModule(entries, model.layers));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<ModuleSettings> settings,
                          ResolveModules(config, model.layers));
  CHORUS_RETURN_IF_ERROR(CheckTargets(settings, found));
  CHORUS_RETURN_IF_ERROR(CheckInvocation(config.invocation, model));
  AdapterSpec spec;
  spec.use_rslora = config.use_rslora;
  spec.invocation = config.invocation;
  spec.base_model_name_or_path = config.base_model_name_or_path;
  for (const auto& [key, module] : found) {
    const auto& [layer, linear] = key;
    const size_t index = static_cast<size_t>(layer * kernels::kNumLoraModules + linear);
    CHORUS_ASSIGN_OR_RETURN(AdapterModule read,
                            ReadModule(layer, linear, module, settings[index], config, model));
    spec.modules.push_back(std::move(read));
  }
  std::vector<const SafetensorsEntry*> used;
  for (const SafetensorsEntry& entry : entries) used.push_back(&entry);
  DigestBuilder digest;
  CHORUS_ASSIGN_OR_RETURN(const auto largest, ScanValues(std::move(used), tensors, &digest));
  spec.digest = digest.Finish(spec);
  AddWarnings(model, largest, &spec);
  return spec;
}

}  // namespace chorus::engine
