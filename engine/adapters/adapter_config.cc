#include "engine/adapters/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/json/strict_json.h"
#include "engine/refusal.h"
#include "kernels/lora/tiles.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr JsonLimits kJsonLimits = {.max_bytes = size_t{1} << 20,
                                    .max_depth = 16,
                                    .max_values = 20000,
                                    .reason = Reason::kAdapterConfigInvalid};
constexpr double kMaxAlpha = 1e6;
constexpr size_t kMaxNameBytes = 4096;
constexpr int64_t kMaxLayer = 1 << 20;

enum class Rule {
  kRead,          // honoured, below
  kIgnored,       // of training or of bookkeeping: nothing that is computed depends on it
  kRefusedIfSet,  // changes the mathematics when truthy, and is not supported
  kRefusedIfHere  // likewise, and PEFT takes even {} for "yes"
};

struct Field {
  std::string_view name;
  Rule rule;
  std::string_view what = "";  // of a refused one
};

// Every field that PEFT 0.21 writes or once wrote. PEFT fills in auto_mapping and megatron_core for
// ordinary adapters too; they only name Python modules, which nobody here looks at.
constexpr Field kFields[] = {
    {kInvocationField, Rule::kRead},
    {"alpha_pattern", Rule::kRead},
    {"arrow_config", Rule::kRefusedIfHere, "Arrow routing over other adapters"},
    {"auto_mapping", Rule::kIgnored},
    {"base_model_name_or_path", Rule::kRead},
    {"bias", Rule::kRead},
    {"corda_config", Rule::kIgnored},
    {"ensure_weight_tying", Rule::kIgnored},
    {"eva_config", Rule::kIgnored},
    {"exclude_modules", Rule::kRead},
    {"fan_in_fan_out", Rule::kRefusedIfSet, "transposed base weights"},
    {"inference_mode", Rule::kIgnored},
    {"init_lora_weights", Rule::kRead},
    {"kasa_config", Rule::kRefusedIfHere, "KaSA, which changes the base model"},
    {"layer_replication", Rule::kRefusedIfSet, "replicated layers"},
    {"layers_pattern", Rule::kRead},
    {"layers_to_transform", Rule::kRead},
    {"loftq_config", Rule::kIgnored},
    {"lora_alpha", Rule::kRead},
    {"lora_bias", Rule::kRead},
    {"lora_dropout", Rule::kIgnored},
    {"lora_ga_config", Rule::kIgnored},
    {"megatron_config", Rule::kRefusedIfSet, "Megatron's own modules"},
    {"megatron_core", Rule::kIgnored},
    {"modules_to_save", Rule::kRefusedIfSet, "whole modules beside LoRA"},
    {"monteclora_config", Rule::kIgnored},
    {"peft_type", Rule::kRead},
    {"peft_version", Rule::kIgnored},
    {"qalora_group_size", Rule::kIgnored},
    {"r", Rule::kRead},
    {"rank_pattern", Rule::kRead},
    {"revision", Rule::kIgnored},
    {"runtime_config", Rule::kIgnored},
    {"target_modules", Rule::kRead},
    {"target_parameters", Rule::kRefusedIfSet, "LoRA on bare parameters"},
    {"task_type", Rule::kRead},
    {"trainable_token_indices", Rule::kRefusedIfSet, "trainable tokens"},
    {"use_bdlora", Rule::kRefusedIfHere, "block-diagonal LoRA"},
    {"use_dora", Rule::kRefusedIfSet, "DoRA"},
    {"use_qalora", Rule::kRefusedIfSet, "QALoRA"},
    {"use_rslora", Rule::kRead},
    {"velora_config", Rule::kIgnored},
};

absl::Status CheckFields(const JsonValue& config) {
  for (const auto& [name, value] : config.Members()) {
    const auto* const field =
        std::find_if(std::begin(kFields), std::end(kFields),
                     [&name = name](const Field& field) { return field.name == name; });
    if (field == std::end(kFields)) {
      if (!value.truthy()) continue;
      return Refuse(Reason::kAdapterUnknownField, value.place(),
                    "no field that this server does not know, or null", value.Shown());
    }
    const bool off = value.absent() || (value.is_bool() && !value.truthy());
    if ((field->rule == Rule::kRefusedIfSet && value.truthy()) ||
        (field->rule == Rule::kRefusedIfHere && !off)) {
      return Refuse(
          Reason::kAdapterUnsupportedField, value.place(), "null or false",
          absl::StrCat(value.Shown(), " (", std::string(field->what), " is not supported)"));
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
    return Refuse(Reason::kAdapterUnsupportedField, bias.place(),
                  "\"none\" (trained biases of the base model are not supported)", bias.Shown());
  }
  return absl::OkStatus();
}

// Initialisations after which A and B are relative to the base model as it is. Under PiSSA, OLoRA,
// CorDA, LoftQ and LoRA-GA they are relative to one that training changed.
absl::Status CheckInit(const JsonValue& config) {
  const JsonValue init = config["init_lora_weights"];
  if (init.absent() || init.is_bool()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(const std::string name, init.String());
  for (const char* plain : {"gaussian", "eva", "orthogonal", "mica"}) {
    if (absl::EqualsIgnoreCase(name, plain)) return absl::OkStatus();
  }
  return Refuse(Reason::kAdapterBaseChanging, init.place(),
                "an initialisation that leaves the base model as it is (convert the adapter with "
                "save_pretrained(path_initial_model_for_weight_conversion=...))",
                init.Shown());
}

absl::Status CheckContradictions(const JsonValue& config, const AdapterConfig& parsed) {
  const auto conflict = [](const JsonValue& field, std::string expected) {
    return Refuse(Reason::kAdapterConflict, field.place(), std::move(expected), field.Shown());
  };
  const JsonValue init = config["init_lora_weights"];
  if (parsed.lora_bias && init.is_string()) {
    return conflict(init, "true or false, because lora_bias is true");
  }
  const bool string_targets = parsed.targets.all_linear || parsed.targets.regex.has_value();
  for (const char* name : {"layers_to_transform", "layers_pattern"}) {
    if (string_targets && !config[name].absent()) {
      return conflict(config[name], "null, because target_modules is a string");
    }
  }
  if (!parsed.layers_pattern.empty() && config["layers_to_transform"].absent()) {
    return conflict(config["layers_pattern"], "null, because layers_to_transform is null");
  }
  const bool mica = init.is_string() && absl::EqualsIgnoreCase(*init.String(), "mica");
  const int variants = int{mica} + int{!config["velora_config"].absent()} +
                       int{!config["monteclora_config"].absent()} + int{!parsed.invocation.empty()};
  if (variants > 1) {
    return Refuse(Reason::kAdapterConflict, kAdapterConfigFile,
                  "one of alora_invocation_tokens, velora_config, monteclora_config and "
                  "init_lora_weights \"mica\"",
                  absl::StrCat(variants));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModuleSelection> ReadSelection(const JsonValue& value) {
  ModuleSelection selection;
  if (!value.is_string()) {
    CHORUS_ASSIGN_OR_RETURN(selection.names, value.Strings(kMaxPatterns, kMaxPatternBytes));
    return selection;
  }
  CHORUS_ASSIGN_OR_RETURN(std::string text, value.String(kMaxPatternBytes));
  if (absl::EqualsIgnoreCase(text, "all-linear")) {
    selection.all_linear = true;
  } else {
    selection.regex = std::move(text);
  }
  return selection;
}

absl::Status ReadTargets(const JsonValue& config, AdapterConfig* result) {
  if (config["target_modules"].absent()) {
    result->targets.names = {"q_proj", "v_proj"};  // PEFT's default for these architectures
  } else {
    CHORUS_ASSIGN_OR_RETURN(result->targets, ReadSelection(config["target_modules"]));
  }
  const JsonValue excluded = config["exclude_modules"];
  if (excluded.truthy()) {
    CHORUS_ASSIGN_OR_RETURN(result->excluded, ReadSelection(excluded));
    if (result->excluded->all_linear) {  // a word of target_modules alone
      result->excluded = ModuleSelection{.regex = *excluded.String()};
    }
  }
  const JsonValue layers = config["layers_to_transform"];
  if (layers.is_array()) {
    for (const JsonValue& element : layers.Elements()) {
      CHORUS_ASSIGN_OR_RETURN(const int64_t layer, element.Integer(0, kMaxLayer));
      result->layers_to_transform.push_back(layer);
    }
  } else if (!layers.absent()) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t layer, layers.Integer(0, kMaxLayer));
    result->layers_to_transform.push_back(layer);
  }
  const JsonValue pattern = config["layers_pattern"];
  if (pattern.is_string() && pattern.truthy()) {
    CHORUS_ASSIGN_OR_RETURN(std::string text, pattern.String(kMaxPatternBytes));
    result->layers_pattern.push_back(std::move(text));
  } else if (pattern.truthy()) {
    CHORUS_ASSIGN_OR_RETURN(result->layers_pattern, pattern.Strings(16, kMaxPatternBytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> ReadAlpha(const JsonValue& value) {
  CHORUS_ASSIGN_OR_RETURN(const double alpha, value.Number());
  if (std::abs(alpha) > kMaxAlpha) {
    return Refuse(Reason::kAdapterScale, value.place(), "a size of at most 1e6", value.Shown());
  }
  return alpha;
}

absl::StatusOr<int32_t> ReadRank(const JsonValue& value) {
  const absl::StatusOr<int64_t> rank = value.Integer(1, kernels::kMaxLoraRank);
  if (rank.ok()) return static_cast<int32_t>(*rank);
  return Refuse(Reason::kAdapterRank, value.place(),
                absl::StrCat("an integer from 1 to ", kernels::kMaxLoraRank), value.Shown());
}

template <class Value>
absl::Status ReadPatterns(const JsonValue& patterns,
                          absl::StatusOr<Value> (*read)(const JsonValue&),
                          PatternTable<Value>* table) {
  if (patterns.absent()) return absl::OkStatus();
  if (!patterns.is_object() || patterns.json().size() > kMaxPatterns) {
    return Refuse(Reason::kAdapterConfigInvalid, patterns.place(),
                  absl::StrCat("an object of at most ", kMaxPatterns, " patterns"),
                  patterns.Shown());
  }
  for (const auto& [key, value] : patterns.Members()) {
    CHORUS_ASSIGN_OR_RETURN(const Value read_value, read(value));
    table->keys.emplace_back(key);
    table->values.push_back(read_value);
  }
  return absl::OkStatus();
}

absl::Status ReadScaling(const JsonValue& config, AdapterConfig* result) {
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
  CHORUS_RETURN_IF_ERROR(
      ReadPatterns<int32_t>(config["rank_pattern"], ReadRank, &result->rank_pattern));
  return ReadPatterns<double>(config["alpha_pattern"], ReadAlpha, &result->alpha_pattern);
}

// An empty list is neither kind: PEFT releases differ on what they make of it.
absl::Status ReadInvocation(const JsonValue& tokens, AdapterConfig* result) {
  if (tokens.absent()) return absl::OkStatus();
  const int64_t count = std::ssize(tokens.Elements());
  if (count < 1 || count > kMaxInvocationTokens) {
    return Refuse(Reason::kAdapterConfigInvalid, tokens.place(),
                  absl::StrCat("1 to ", kMaxInvocationTokens, " token ids, or null"),
                  tokens.is_array() ? absl::StrCat(count) : tokens.Shown());
  }
  for (const JsonValue& token : tokens.Elements()) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t id,
                            token.Integer(0, std::numeric_limits<int32_t>::max()));
    result->invocation.push_back(static_cast<int32_t>(id));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AdapterConfig> ParseAdapterConfig(std::string_view text) {
  CHORUS_ASSIGN_OR_RETURN(const Json json, ParseStrictJson(text, kAdapterConfigFile, kJsonLimits));
  const JsonValue config(&json, kAdapterConfigFile, Reason::kAdapterConfigInvalid);
  if (!config.is_object()) {
    return Refuse(Reason::kAdapterConfigInvalid, kAdapterConfigFile, "an object", config.Shown());
  }
  CHORUS_RETURN_IF_ERROR(CheckKind(config));
  CHORUS_RETURN_IF_ERROR(CheckFields(config));
  CHORUS_RETURN_IF_ERROR(CheckInit(config));
  AdapterConfig result;
  CHORUS_RETURN_IF_ERROR(ReadScaling(config, &result));
  CHORUS_RETURN_IF_ERROR(ReadTargets(config, &result));
  CHORUS_RETURN_IF_ERROR(ReadInvocation(config[kInvocationField], &result));
  CHORUS_RETURN_IF_ERROR(CheckContradictions(config, result));
  if (!config["base_model_name_or_path"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(result.base_model_name_or_path,
                            config["base_model_name_or_path"].String(kMaxNameBytes));
  }
  return result;
}

}  // namespace chorus::engine
