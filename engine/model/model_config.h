// What a Hugging Face model directory says about its model: config.json (as transformers 4 and 5
// write it) and generation_config.json, checked against what the runner can compute exactly.
#ifndef CHORUS_ENGINE_MODEL_MODEL_CONFIG_H_
#define CHORUS_ENGINE_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/dtype.h"
#include "kernels/lora/slots.h"

namespace chorus::engine {

enum class Architecture { kLlama, kMistral, kQwen2, kQwen3 };

enum class RopeType { kDefault, kLinear, kLlama3, kYarn };

struct RopeConfig {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;                  // llama3
  double high_freq_factor = 4.0;                 // llama3
  int64_t original_max_position = 0;             // llama3, yarn
  double beta_fast = 32.0;                       // yarn
  double beta_slow = 1.0;                        // yarn
  std::optional<double> attention_factor;        // yarn
  std::optional<double> mscale, mscale_all_dim;  // yarn
  bool truncate = true;                          // yarn
};

// Defaults for sampling fields that a request leaves unset; absent means the field's own default.
struct GenerationDefaults {
  std::optional<bool> do_sample;
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int32_t> top_k;
};

struct ModelConfig {
  std::string name_or_path;  // "_name_or_path" when the file has one
  Architecture architecture = Architecture::kLlama;
  int32_t layers = 0;
  int32_t hidden = 0;
  int32_t intermediate = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t vocabulary = 0;
  int32_t max_positions = 0;
  float rms_norm_eps = 0.0f;
  bool tied_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;
  RopeConfig rope;
  kernels::DType file_dtype = kernels::DType::kF32;  // "torch_dtype" or "dtype"
  std::vector<int32_t> eos_token_ids;                // config and generation_config, union, sorted
  GenerationDefaults generation;

  // Inputs and outputs of one of the seven linears.
  struct LinearShape {
    int64_t inputs = 0;
    int64_t outputs = 0;
  };
  LinearShape linear(kernels::LoraModule module) const;

  // Reads DIR/config.json and, when there, DIR/generation_config.json. InvalidArgument naming the
  // field, what was expected and what came, for anything that would change the mathematics and is
  // not supported: another architecture or activation, a sliding window that would bite, an unknown
  // RoPE type, a quantised checkpoint.
  static absl::StatusOr<ModelConfig> Load(const std::string& model_dir);
};

// The seven linears' names inside a layer, as PEFT and checkpoints write them:
// "self_attn.q_proj" … "mlp.down_proj", indexed by kernels::LoraModule.
inline constexpr const char* kLinearNames[kernels::kNumLoraModules] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_MODEL_CONFIG_H_
