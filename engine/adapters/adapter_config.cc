#include "engine/adapters/adapter_config.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/json/strict_json.h"
#include "engine/refusal.h"
#include "kernels/lora/tiles.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr char kFile[] = "adapter_config.json";
constexpr size_t kMaxPatterns = 4096;
constexpr size_t kMaxPatternBytes = 512;
constexpr double kMaxAlpha = 1e6;

// Read below.
constexpr std::string_view kRead[] = {
    "peft_type",      "task_type",         "r",
    "lora_alpha",     "use_rslora",        "lora_bias",
    "rank_pattern",   "alpha_pattern",     "bias",
    "target_modules", "exclude_modules",   "layers_to_transform",
    "layers_pattern", "init_lora_weights", "base_model_name_or_path"};

// Of training, or without meaning for what is computed.
constexpr std::string_view kIgnored[] = {
    "lora_dropout",      "inference_mode",     "peft_version",  "revision",
    "runtime_config",    "megatron_core",      "eva_config",    "corda_config",
    "lora_ga_config",    "loftq_config",       "velora_config", "monteclora_config",
    "qalora_group_size", "ensure_weight_tying"};

// Would change the mathematics, and are not served (yet).
constexpr std::pair<std::string_view, std::string_view> kUnsupported[] = {
    {"use_dora", "DoRA is not supported"},
    {"alora_invocation_tokens", "activated LoRA is not supported"},
    {"modules_to_save", "replaced modules are not supported"},
    {"trainable_token_indices", "trainable tokens are not supported"},
    {"layer_replication", "replicated layers are not supported"},
    {"target_parameters", "LoRA on bare parameters is not supported"},
    {"fan_in_fan_out", "transposed base weights are not supported"},
    {"use_qalora", "QALoRA is not supported"},
    {"use_bdlora", "block-diagonal LoRA is not supported"},
    {"kasa_config", "KaSA changes the base model and is not supported"},
    {"arrow_config", "Arrow routing is not supported"},
    {"megatron_config", "Megatron modules are not supported"},
    {"auto_mapping", "custom modules are not supported"}};

constexpr std::string_view kPlainInits[] = {"gaussian", "eva", "orthogonal", "mica"};

bool Contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status CheckFields(const JsonValue& config) {
  for (const auto& [key, json] : config.json().items()) {
    const JsonValue value = config[key];
    for (const auto& [name, why] : kUnsupported) {
      if (key == name && value.truthy()) {
        return Refuse(Reason::kAdapterUnsupportedField, value.place(), "", std::string(why));
      }
    }
    const bool known = Contains(kRead, key) || Contains(kIgnored, key) ||
                       std::any_of(std::begin(kUnsupported), std::end(kUnsupported),
                                   [&key = key](const auto& field) { return field.first == key; });
    if (!known && value.truthy()) {
      return Refuse(Reason::kAdapterUnknownField, absl::StrCat(kFile, ": ", Quoted(key)),
                    "a field this server knows, or null", value.Shown());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckKind(const JsonValue& config) {
  const JsonValue type = config["peft_type"];
  if (!type.is_string() || type.json() != "LORA") {
    return Refuse(Reason::kAdapterUnsupportedKind, type.place(), "\"LORA\"", type.Shown());
  }
  const JsonValue task = config["task_type"];
  if (!task.absent() && task.json() != "CAUSAL_LM") {
    return Refuse(Reason::kAdapterUnsupportedKind, task.place(), "\"CAUSAL_LM\" or null",
                  task.Shown());
  }
  const JsonValue bias = config["bias"];
  if (!bias.absent() && bias.json() != "none") {
    return Refuse(Reason::kAdapterUnsupportedField, bias.place(), "\"none\"", bias.Shown());
  }
  const JsonValue init = config["init_lora_weights"];
  const bool plain = init.absent() || init.is_bool() ||
                     (init.is_string() && Contains(kPlainInits, init.json().get<std::string>()));
  if (!plain) {
    return Refuse(Reason::kAdapterUnsupportedField, init.place(),
                  "an initialisation that leaves the base model as it is (convert the adapter with "
                  "save_pretrained(path_initial_model_for_weight_conversion=…))",
                  init.Shown());
  }
  return absl::OkStatus();
}

absl::StatusOr<PathPattern> CompilePattern(const std::string& place, const std::string& pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return Refuse(Reason::kAdapterConfigInvalid, place,
                  absl::StrCat("a pattern of at most ", kMaxPatternBytes, " bytes"),
                  absl::StrCat(pattern.size()));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(int64_t{1} << 20);
  auto compiled = std::make_shared<const re2::RE2>(pattern, options);
  if (!compiled->ok()) {
    return Refuse(Reason::kAdapterConfigInvalid, place,
                  "a regular expression without look-around or back-references (or a list)",
                  Quoted(compiled->error()));
  }
  return compiled;
}

template <class Value, class Read>
absl::StatusOr<std::vector<std::pair<PathPattern, Value>>> ReadPatterns(const JsonValue& patterns,
                                                                        const Read& read) {
  std::vector<std::pair<PathPattern, Value>> result;
  if (patterns.absent()) return result;
  if (!patterns.is_object() || patterns.json().size() > kMaxPatterns) {
    return Refuse(Reason::kAdapterConfigInvalid, patterns.place(),
                  absl::StrCat("an object of at most ", kMaxPatterns, " patterns"),
                  patterns.Shown());
  }
  for (const auto& [key, json] : patterns.json().items()) {
    const JsonValue value = patterns[key];
    CHORUS_ASSIGN_OR_RETURN(PathPattern pattern,
                            CompilePattern(value.place(), absl::StrCat("(.*\\.)?(", key, ")")));
    CHORUS_ASSIGN_OR_RETURN(const Value read_value, read(value));
    result.emplace_back(std::move(pattern), read_value);
  }
  return result;
}

absl::StatusOr<ModuleSelection> ReadSelection(const JsonValue& value) {
  ModuleSelection selection;
  if (value.is_string()) {
    const std::string text = value.json().get<std::string>();
    if (absl::EqualsIgnoreCase(text, "all-linear")) {
      selection.all_linear = true;
    } else {
      CHORUS_ASSIGN_OR_RETURN(selection.regex, CompilePattern(value.place(), text));
    }
    return selection;
  }
  if (!value.is_array() || value.json().size() > kMaxPatterns) {
    return Refuse(Reason::kAdapterConfigInvalid, value.place(), "a string or a list of strings",
                  value.Shown());
  }
  for (const Json& name : value.json()) {
    if (!name.is_string()) {
      return Refuse(Reason::kAdapterConfigInvalid, value.place(), "a list of strings",
                    value.Shown());
    }
    selection.names.push_back(name.get<std::string>());
  }
  return selection;
}

absl::Status ReadLayers(const JsonValue& config, AdapterConfig* result) {
  const JsonValue layers = config["layers_to_transform"];
  const JsonValue pattern = config["layers_pattern"];
  if (pattern.truthy()) {
    const Json& json = pattern.json();
    if (json != "layers" && json != Json::array({"layers"})) {
      return Refuse(Reason::kAdapterTarget, pattern.place(), "\"layers\"", pattern.Shown());
    }
  }
  if (layers.absent()) return absl::OkStatus();
  if (result->targets.regex != nullptr || result->targets.all_linear) {
    return Refuse(Reason::kAdapterConfigInvalid, layers.place(),
                  "null, because target_modules is a string", layers.Shown());
  }
  std::set<int64_t>& chosen = result->layers_to_transform.emplace();
  if (!layers.is_array()) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t layer, layers.Integer(0, 1 << 20));
    chosen.insert(layer);
    return absl::OkStatus();
  }
  for (const Json& json : layers.json()) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t layer,
                            JsonValue(&json, layers.place()).Integer(0, 1 << 20));
    chosen.insert(layer);
  }
  return absl::OkStatus();
}

absl::StatusOr<double> ReadAlpha(const JsonValue& value) {
  CHORUS_ASSIGN_OR_RETURN(const double alpha, value.Number());
  if (std::abs(alpha) > kMaxAlpha) {
    return Refuse(Reason::kAdapterConfigInvalid, value.place(),
                  absl::StrCat("at most ", kMaxAlpha, " in size"), value.Shown());
  }
  return alpha;
}

absl::StatusOr<int32_t> ReadRank(const JsonValue& value) {
  CHORUS_ASSIGN_OR_RETURN(const int64_t rank, value.Integer(1, kernels::kMaxLoraRank));
  return static_cast<int32_t>(rank);
}

absl::Status ReadScalars(const JsonValue& config, AdapterConfig* result) {
  if (!config["r"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(result->r, ReadRank(config["r"]));
  }
  if (!config["lora_alpha"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(result->lora_alpha, ReadAlpha(config["lora_alpha"]));
  }
  if (!config["use_rslora"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(result->use_rslora, config["use_rslora"].Bool());
  }
  if (!config["lora_bias"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(result->lora_bias, config["lora_bias"].Bool());
  }
  if (config["base_model_name_or_path"].is_string()) {
    result->base_model_name_or_path = config["base_model_name_or_path"].json().get<std::string>();
  }
  return absl::OkStatus();
}

}  // namespace

bool Matches(const PathPattern& pattern, const std::string& path) {
  return re2::RE2::FullMatch(path, *pattern);
}

bool ModuleSelection::Selects(const std::string& path) const {
  if (all_linear) return true;
  if (regex != nullptr) return Matches(regex, path);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return path == name || absl::EndsWith(path, absl::StrCat(".", name));
  });
}

int32_t AdapterConfig::RankOf(const std::string& path) const {
  for (const auto& [pattern, rank] : rank_pattern) {
    if (Matches(pattern, path)) return rank;
  }
  return r;
}

double AdapterConfig::AlphaOf(const std::string& path) const {
  for (const auto& [pattern, alpha] : alpha_pattern) {
    if (Matches(pattern, path)) return alpha;
  }
  return lora_alpha;
}

bool AdapterConfig::Targets(const std::string& path, int64_t layer) const {
  if (layers_to_transform.has_value() && !layers_to_transform->contains(layer)) return false;
  if (excluded.has_value() && excluded->Selects(path)) return false;
  return targets.Selects(path);
}

absl::StatusOr<AdapterConfig> ParseAdapterConfig(std::string_view text) {
  JsonLimits limits;
  limits.max_values = 20000;
  CHORUS_ASSIGN_OR_RETURN(const Json json, ParseStrictJson(text, kFile, limits));
  const JsonValue config(&json, kFile);
  if (!config.is_object()) {
    return Refuse(Reason::kAdapterConfigInvalid, kFile, "an object", config.Shown());
  }
  CHORUS_RETURN_IF_ERROR(CheckKind(config));
  CHORUS_RETURN_IF_ERROR(CheckFields(config));
  AdapterConfig result;
  CHORUS_RETURN_IF_ERROR(ReadScalars(config, &result));
  CHORUS_ASSIGN_OR_RETURN(result.rank_pattern,
                          ReadPatterns<int32_t>(config["rank_pattern"], ReadRank));
  CHORUS_ASSIGN_OR_RETURN(result.alpha_pattern,
                          ReadPatterns<double>(config["alpha_pattern"], ReadAlpha));
  if (config["target_modules"].absent()) {
    result.targets.names = {"q_proj", "v_proj"};  // PEFT's default for these architectures
  } else {
    CHORUS_ASSIGN_OR_RETURN(result.targets, ReadSelection(config["target_modules"]));
  }
  if (config["exclude_modules"].truthy()) {
    CHORUS_ASSIGN_OR_RETURN(result.excluded, ReadSelection(config["exclude_modules"]));
  }
  CHORUS_RETURN_IF_ERROR(ReadLayers(config, &result));
  return result;
}

}  // namespace chorus::engine
