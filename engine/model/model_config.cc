#include "engine/model/model_config.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/json/strict_json.h"
#include "engine/model/byte_source.h"
#include "engine/model/generation_config.h"
#include "engine/model/rope.h"
#include "engine/model/unsupported_features.h"
#include "engine/refusal.h"
#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr char kConfigFile[] = "config.json";
constexpr char kGenerationFile[] = "generation_config.json";
constexpr int64_t kMaxSize = int64_t{1} << 24;  // of any one dimension

absl::Status Unsupported(const JsonValue& value, std::string expected) {
  return Refuse(Reason::kModelUnsupported, value.place(), std::move(expected), value.Shown());
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path, const std::string& name) {
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> file, OpenFile(path));
  const JsonLimits limits = {.max_bytes = size_t{16} << 20, .reason = Reason::kModelFileInvalid};
  if (file->size() > limits.max_bytes) {
    return Refuse(limits.reason, name, absl::StrCat("at most ", limits.max_bytes, " bytes"),
                  absl::StrCat(file->size()));
  }
  std::string text(file->size(), '\0');
  CHORUS_RETURN_IF_ERROR(file->Read(0, std::as_writable_bytes(std::span(text))));
  return ParseStrictJson(text, name, limits);
}

// What transformers takes for a field that is not there.
struct ClassDefaults {
  Architecture architecture;
  const char* class_name;
  const char* model_type;
  int32_t vocabulary, hidden, intermediate, layers, heads;
  int32_t kv_heads;  // 0: as many as heads
  int32_t head_dim;  // 0: hidden / heads
  int32_t max_positions;
  int32_t eos;  // -1: none
};
constexpr ClassDefaults kClasses[] = {
    {Architecture::kLlama, "LlamaForCausalLM", "llama", 32000, 4096, 11008, 32, 32, 0, 0, 2048, 2},
    {Architecture::kMistral, "MistralForCausalLM", "mistral", 32000, 4096, 14336, 32, 32, 8, 0,
     131072, 2},
    {Architecture::kQwen2, "Qwen2ForCausalLM", "qwen2", 151936, 4096, 22016, 32, 32, 32, 0, 32768,
     -1},
    {Architecture::kQwen3, "Qwen3ForCausalLM", "qwen3", 151936, 4096, 22016, 32, 32, 32, 128, 32768,
     -1}};

bool IsMissing(const JsonValue& config, const char* field) {
  return !config.is_object() || !config.json().contains(field);  // null is not missing
}

absl::StatusOr<const ClassDefaults*> ReadClass(const JsonValue& config) {
  const JsonValue list = config["architectures"];
  const JsonValue type = config["model_type"];
  for (const ClassDefaults& served : kClasses) {
    if (!list.is_array() || list.json().size() != 1 || list.json()[0] != served.class_name)
      continue;
    if (!type.absent() && type.json() != served.model_type) {
      return Unsupported(type, absl::StrCat("\"", served.model_type, "\" for ", served.class_name));
    }
    return &served;
  }
  const std::vector<JsonValue> names = list.Elements();
  return Unsupported(names.size() == 1 ? names[0] : list,
                     "one of LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, "
                     "Qwen3ForCausalLM");
}

// A missing field means `fallback`; a null one `null_means`, where that is not 0.
absl::Status ReadSize(const JsonValue& config, const char* field, int32_t fallback, int32_t* out,
                      int32_t null_means = 0) {
  *out = fallback;
  if (IsMissing(config, field)) return absl::OkStatus();
  *out = null_means;
  if (null_means != 0 && config[field].absent()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(const int64_t size, config[field].Integer(1, kMaxSize));
  *out = static_cast<int32_t>(size);
  return absl::OkStatus();
}

absl::Status ReadFlag(const JsonValue& value, bool* out) {
  if (value.absent()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(*out, value.Bool());
  return absl::OkStatus();
}

absl::Status ReadHeads(const JsonValue& config, const ClassDefaults& defaults, ModelConfig* model) {
  CHORUS_RETURN_IF_ERROR(ReadSize(config, "num_attention_heads", defaults.heads, &model->heads));
  const int32_t kv_heads = defaults.kv_heads != 0 ? defaults.kv_heads : model->heads;
  CHORUS_RETURN_IF_ERROR(
      ReadSize(config, "num_key_value_heads", kv_heads, &model->kv_heads, model->heads));
  if (model->heads % model->kv_heads != 0) {
    return Refuse(Reason::kModelUnsupported, config["num_key_value_heads"].place(),
                  absl::StrCat("a divisor of num_attention_heads (", model->heads, ")"),
                  absl::StrCat(model->kv_heads));
  }
  const JsonValue head_dim = config["head_dim"];
  if (defaults.head_dim == 0 && head_dim.absent() && model->hidden % model->heads != 0) {
    return Refuse(Reason::kModelUnsupported, config["hidden_size"].place(),
                  absl::StrCat("a multiple of num_attention_heads (", model->heads, ")"),
                  absl::StrCat(model->hidden));
  }
  const int32_t quotient = model->hidden / model->heads;
  CHORUS_RETURN_IF_ERROR(ReadSize(config, "head_dim",
                                  defaults.head_dim != 0 ? defaults.head_dim : quotient,
                                  &model->head_dim, defaults.head_dim != 0 ? 0 : quotient));
  if (model->head_dim % 8 != 0 || model->head_dim > kernels::kMaxHeadDim) {
    return Refuse(Reason::kModelUnsupported, head_dim.place(),
                  absl::StrCat("a multiple of 8 up to ", kernels::kMaxHeadDim),
                  absl::StrCat(model->head_dim));
  }
  return absl::OkStatus();
}

absl::Status ReadSizes(const JsonValue& config, const ClassDefaults& defaults, ModelConfig* model) {
  CHORUS_RETURN_IF_ERROR(ReadSize(config, "num_hidden_layers", defaults.layers, &model->layers));
  CHORUS_RETURN_IF_ERROR(ReadSize(config, "hidden_size", defaults.hidden, &model->hidden));
  CHORUS_RETURN_IF_ERROR(
      ReadSize(config, "intermediate_size", defaults.intermediate, &model->intermediate));
  CHORUS_RETURN_IF_ERROR(ReadSize(config, "vocab_size", defaults.vocabulary, &model->vocabulary));
  CHORUS_RETURN_IF_ERROR(
      ReadSize(config, "max_position_embeddings", defaults.max_positions, &model->max_positions));
  CHORUS_RETURN_IF_ERROR(ReadHeads(config, defaults, model));
  model->rms_norm_eps = 1e-6f;
  const JsonValue eps = config["rms_norm_eps"];
  if (IsMissing(config, "rms_norm_eps")) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(const double number, eps.Number());
  if (number <= 0.0 || number > 1.0) return Unsupported(eps, "a number above 0, up to 1");
  model->rms_norm_eps = static_cast<float>(number);
  return absl::OkStatus();
}

// Which linears have a bias and whether heads are normed. A class that has no such field ignores
// it.
absl::Status ReadFlags(const JsonValue& config, ModelConfig* model) {
  CHORUS_RETURN_IF_ERROR(ReadFlag(config["tie_word_embeddings"], &model->tied_embeddings));
  model->qk_norm = model->architecture == Architecture::kQwen3;
  switch (model->architecture) {
    case Architecture::kLlama:
      CHORUS_RETURN_IF_ERROR(ReadFlag(config["mlp_bias"], &model->mlp_bias));
      [[fallthrough]];
    case Architecture::kQwen3:
      CHORUS_RETURN_IF_ERROR(ReadFlag(config["attention_bias"], &model->qkv_bias));
      model->o_bias = model->qkv_bias;
      break;
    case Architecture::kQwen2:
      model->qkv_bias = true;
      break;
    case Architecture::kMistral:
      break;
  }
  return absl::OkStatus();
}

absl::Status ReadType(const JsonValue& config, ModelConfig* model) {
  JsonValue type = config["dtype"];
  if (type.absent()) type = config["torch_dtype"];
  if (type.absent()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(const std::string name, type.String());
  if (name == "float32") {
    model->file_dtype = kernels::DType::kF32;
  } else if (name == "bfloat16") {
    model->file_dtype = kernels::DType::kBf16;
  } else if (name == "float16") {
    model->file_dtype = kernels::DType::kF16;
  } else {
    return Unsupported(type, "float32, bfloat16 or float16");
  }
  return absl::OkStatus();
}

// Ends of sequence of both files. Without generation_config.json transformers makes one from the
// config, whose class has a default.
absl::Status ReadGeneration(const std::string& model_dir, const JsonValue& config,
                            const ClassDefaults& defaults, ModelConfig* model) {
  std::set<int32_t> eos;
  CHORUS_RETURN_IF_ERROR(AddEosIds(config, model->vocabulary, &eos));
  const absl::StatusOr<Json> json =
      ReadJsonFile(absl::StrCat(model_dir, "/", kGenerationFile), kGenerationFile);
  if (json.ok()) {
    const JsonValue generation(&*json, kGenerationFile, Reason::kModelUnsupported);
    CHORUS_RETURN_IF_ERROR(AddEosIds(generation, model->vocabulary, &eos));
    CHORUS_ASSIGN_OR_RETURN(model->generation, ReadGenerationDefaults(generation));
  } else if (!absl::IsNotFound(json.status())) {
    return json.status();
  } else if (IsMissing(config, "eos_token_id") && defaults.eos >= 0 &&
             defaults.eos < model->vocabulary) {
    eos.insert(defaults.eos);
  }
  model->eos_token_ids.assign(eos.begin(), eos.end());
  return absl::OkStatus();
}

}  // namespace

ModelConfig::LinearShape ModelConfig::linear(kernels::LoraModule module) const {
  const int64_t q = int64_t{heads} * head_dim;
  const int64_t kv = int64_t{kv_heads} * head_dim;
  switch (module) {
    case kernels::kQ:
      return {hidden, q};
    case kernels::kK:
    case kernels::kV:
      return {hidden, kv};
    case kernels::kO:
      return {q, hidden};
    case kernels::kGate:
    case kernels::kUp:
      return {hidden, intermediate};
    case kernels::kDown:
      return {intermediate, hidden};
  }
  return {};
}

absl::StatusOr<ModelConfig> ModelConfig::Load(const std::string& model_dir) {
  CHORUS_ASSIGN_OR_RETURN(const Json json,
                          ReadJsonFile(absl::StrCat(model_dir, "/", kConfigFile), kConfigFile));
  const JsonValue config(&json, kConfigFile, Reason::kModelUnsupported);
  if (!config.is_object()) return Unsupported(config, "an object");
  CHORUS_ASSIGN_OR_RETURN(const ClassDefaults* const defaults, ReadClass(config));
  CHORUS_RETURN_IF_ERROR(CheckFeatures(config));
  ModelConfig model;
  model.architecture = defaults->architecture;
  CHORUS_RETURN_IF_ERROR(ReadSizes(config, *defaults, &model));
  CHORUS_RETURN_IF_ERROR(ReadFlags(config, &model));
  CHORUS_RETURN_IF_ERROR(CheckSlidingWindow(config, model));
  CHORUS_ASSIGN_OR_RETURN(model.rope, ReadRopeConfig(config, model.max_positions));
  CHORUS_RETURN_IF_ERROR(ReadType(config, &model));
  if (config["_name_or_path"].is_string()) {
    model.name_or_path = config["_name_or_path"].json().get<std::string>();
  }
  CHORUS_RETURN_IF_ERROR(ReadGeneration(model_dir, config, *defaults, &model));
  return model;
}

}  // namespace chorus::engine
