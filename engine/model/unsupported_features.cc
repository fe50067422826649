#include "engine/model/unsupported_features.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr int64_t kMaxWindow = int64_t{1} << 40;

absl::Status Unsupported(const JsonValue& value, std::string expected) {
  return Refuse(Reason::kModelUnsupported, value.place(), std::move(expected), value.Shown());
}

// Fields of other architectures, or of variants of these, whose effect is gone at one value.
struct Feature {
  const char* field;
  double neutral;
};
constexpr Feature kFeatures[] = {{"num_local_experts", 0},
                                 {"num_experts", 0},
                                 {"n_routed_experts", 0},
                                 {"num_experts_per_tok", 0},
                                 {"moe_intermediate_size", 0},
                                 {"attn_logit_softcapping", 0},
                                 {"final_logit_softcapping", 0},
                                 {"logits_soft_cap", 0},
                                 {"logit_scale", 1},
                                 {"logits_scaling", 1},
                                 {"attention_multiplier", 1},
                                 {"residual_multiplier", 1},
                                 {"embedding_multiplier", 1},
                                 {"query_pre_attn_scalar", 0},
                                 {"pretraining_tp", 1},
                                 {"kv_lora_rank", 0}};

absl::Status CheckFeature(const JsonValue& config, const Feature& feature) {
  const JsonValue value = config[feature.field];
  if (!value.truthy()) return absl::OkStatus();
  if (value.is_number() && value.json().get<double>() == feature.neutral) return absl::OkStatus();
  return Unsupported(value, feature.neutral == 0 ? "no such field" : "1, or no such field");
}

absl::Status CheckQuantization(const JsonValue& config) {
  for (const char* field : {"quantization_config", "compression_config"}) {
    const JsonValue quantization = config[field];
    if (!quantization.truthy()) continue;
    return Refuse(Reason::kModelUnsupported, quantization.place(),
                  "weights in float32, float16 or bfloat16",
                  absl::StrCat("quant_method ", quantization["quant_method"].Shown()));
  }
  return absl::OkStatus();
}

// Whether "layer_types" asks for a window in some layer; any third kind of layer is refused.
absl::StatusOr<bool> SlidingLayers(const JsonValue& types) {
  bool sliding = false;
  if (!types.is_array()) return Unsupported(types, "an array");
  for (const Json& type : types.json()) {
    if (type == "sliding_attention") {
      sliding = true;
    } else if (type != "full_attention") {
      return Unsupported(JsonValue(&type, types.place()), "full_attention");
    }
  }
  return sliding;
}

// Qwen: the layers from max_window_layers on, unless layer_types says which.
absl::StatusOr<bool> QwenSlides(const JsonValue& config, const ModelConfig& model) {
  const JsonValue flag = config["use_sliding_window"];
  bool used = false;
  if (!flag.absent()) {
    CHORUS_ASSIGN_OR_RETURN(used, flag.Bool());
  }
  bool sliding_layers = false;
  if (!config["layer_types"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(sliding_layers, SlidingLayers(config["layer_types"]));
    return used && sliding_layers;
  }
  int64_t full_layers = 28;
  if (!config["max_window_layers"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(full_layers, config["max_window_layers"].Integer(0, kMaxWindow));
  }
  return used && full_layers < model.layers;
}

}  // namespace

absl::Status CheckFeatures(const JsonValue& config) {
  CHORUS_RETURN_IF_ERROR(CheckQuantization(config));
  for (const Feature& feature : kFeatures) {
    CHORUS_RETURN_IF_ERROR(CheckFeature(config, feature));
  }
  for (const char* field : {"hidden_act", "hidden_activation"}) {
    const JsonValue activation = config[field];
    if (!activation.absent() && activation.json() != "silu") {
      return Unsupported(activation, "\"silu\"");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSlidingWindow(const JsonValue& config, const ModelConfig& model) {
  const JsonValue window = config["sliding_window"];
  bool used = false;
  switch (model.architecture) {
    case Architecture::kLlama:  // transformers' class knows no window; layer_types would be a wish
      if (!config["layer_types"].absent()) {
        CHORUS_ASSIGN_OR_RETURN(used, SlidingLayers(config["layer_types"]));
      }
      break;
    case Architecture::kMistral:  // a missing field means 4096, null means none
      used = !window.absent() || !config.json().contains("sliding_window");
      break;
    case Architecture::kQwen2:
    case Architecture::kQwen3:
      CHORUS_ASSIGN_OR_RETURN(used, QwenSlides(config, model));
      used = used && (!window.absent() || !config.json().contains("sliding_window"));
      break;
  }
  if (!used) return absl::OkStatus();
  int64_t size = 4096;
  if (!window.absent()) {
    CHORUS_ASSIGN_OR_RETURN(size, window.Integer(1, kMaxWindow));
  }
  if (size >= model.max_positions) return absl::OkStatus();
  return Refuse(Reason::kModelUnsupported, window.place(),
                absl::StrCat("null, or at least max_position_embeddings (", model.max_positions,
                             "): sliding windows are not supported"),
                absl::StrCat(size));
}

}  // namespace chorus::engine
