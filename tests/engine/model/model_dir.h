// A model directory with the files that a test wants in it.
#ifndef CHORUS_TESTS_ENGINE_MODEL_MODEL_DIR_H_
#define CHORUS_TESTS_ENGINE_MODEL_MODEL_DIR_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/json/strict_json.h"
#include "engine/model/model_config.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {

// A config.json that is served as it is.
inline engine::Json LlamaConfig() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"hidden_size", 64},
          {"intermediate_size", 112},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"vocab_size", 96},
          {"max_position_embeddings", 256},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"torch_dtype", "bfloat16"},
          {"eos_token_id", 2}};
}

// `config` with `fields` over it.
inline engine::Json With(engine::Json config, const engine::Json& fields) {
  config.update(fields);
  return config;
}

inline engine::Json Without(engine::Json config, const std::string& field) {
  config.erase(field);
  return config;
}

// What ModelConfig::Load makes of these texts; an empty generation_config is not written.
inline absl::StatusOr<engine::ModelConfig> LoadTexts(const std::string& config,
                                                     const std::string& generation_config = "") {
  const TempDir dir;
  WriteFile(dir.path() + "/config.json", config);
  if (!generation_config.empty()) {
    WriteFile(dir.path() + "/generation_config.json", generation_config);
  }
  return engine::ModelConfig::Load(dir.path());
}

inline absl::StatusOr<engine::ModelConfig> LoadConfig(const engine::Json& config) {
  return LoadTexts(config.dump(2));
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_MODEL_MODEL_DIR_H_
