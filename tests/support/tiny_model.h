// Tiny models of every architecture with counter-hash weights, as a directory that ModelConfig and
// Weights read, and as values for the reference.
#ifndef CHORUS_TESTS_SUPPORT_TINY_MODEL_H_
#define CHORUS_TESTS_SUPPORT_TINY_MODEL_H_

#include <map>
#include <string>
#include <vector>

#include "engine/json/strict_json.h"
#include "tests/support/counter_hash.h"
#include "tests/support/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {

struct TinyTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;  // exact in bf16, hence in every type of a file
};

struct TinyModel {
  engine::Json config;
  std::map<std::string, TinyTensor> tensors;

  // `fields` go over the common ones of config.json.
  static TinyModel Make(const std::string& architecture, const engine::Json& fields,
                        uint64_t seed = 1);

  // Writes config.json and the tensors, over `shards` files when more than one.
  void Write(const std::string& dir, const std::string& dtype = "F32", int shards = 1) const;
  std::vector<FileTensor> FileTensors(const std::string& dtype) const;

 private:
  void Add(const std::string& name, const std::vector<uint64_t>& shape, float scale, float offset,
           uint64_t seed);
};

inline void TinyModel::Add(const std::string& name, const std::vector<uint64_t>& shape, float scale,
                           float offset, uint64_t seed) {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  TinyTensor tensor{shape,
                    CounterValues(1000 * seed + tensors.size(), static_cast<int64_t>(count))};
  for (float& value : tensor.values) {
    value = kernels::Bf16::FromFloat(value * scale + offset).ToFloat();
  }
  tensors[name] = std::move(tensor);
}

inline TinyModel TinyModel::Make(const std::string& architecture, const engine::Json& fields,
                                 uint64_t seed) {
  TinyModel model;
  model.config = {{"architectures", {architecture}},
                  {"hidden_act", "silu"},
                  {"hidden_size", 48},
                  {"intermediate_size", 72},
                  {"num_hidden_layers", 2},
                  {"num_attention_heads", 4},
                  {"num_key_value_heads", 2},
                  {"vocab_size", 96},
                  {"max_position_embeddings", 256},
                  {"rms_norm_eps", 1e-5},
                  {"tie_word_embeddings", false},
                  {"rope_theta", 10000.0},
                  {"torch_dtype", "float32"},
                  {"sliding_window", nullptr},
                  {"head_dim", 16},
                  {"eos_token_id", 2}};
  model.config.update(fields);
  const auto size = [&](const char* field) { return model.config[field].get<uint64_t>(); };
  const auto flag = [&](const char* field) { return model.config.value(field, false); };
  const uint64_t hidden = size("hidden_size");
  const uint64_t wide = size("intermediate_size");
  const uint64_t q = size("num_attention_heads") * size("head_dim");
  const uint64_t kv = size("num_key_value_heads") * size("head_dim");
  const bool qwen3 = architecture == "Qwen3ForCausalLM";
  const bool qkv_bias = architecture == "Qwen2ForCausalLM" || flag("attention_bias");
  const auto linear = [&](const std::string& name, uint64_t outputs, uint64_t inputs, bool bias) {
    model.Add(name + ".weight", {outputs, inputs}, 0.25f, 0.0f, seed);
    if (bias) model.Add(name + ".bias", {outputs}, 0.5f, 0.0f, seed);
  };
  const auto norm = [&](const std::string& name, uint64_t width) {
    model.Add(name + ".weight", {width}, 0.25f, 1.0f, seed);
  };
  model.Add("model.embed_tokens.weight", {size("vocab_size"), hidden},
            flag("tie_word_embeddings") ? 0.25f : 1.0f, 0.0f, seed);
  if (!flag("tie_word_embeddings")) linear("lm_head", size("vocab_size"), hidden, false);
  norm("model.norm", hidden);
  for (uint64_t layer = 0; layer < size("num_hidden_layers"); ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    norm(at + "input_layernorm", hidden);
    norm(at + "post_attention_layernorm", hidden);
    linear(at + "self_attn.q_proj", q, hidden, qkv_bias);
    linear(at + "self_attn.k_proj", kv, hidden, qkv_bias);
    linear(at + "self_attn.v_proj", kv, hidden, qkv_bias);
    linear(at + "self_attn.o_proj", hidden, q, flag("attention_bias"));
    if (qwen3) norm(at + "self_attn.q_norm", size("head_dim"));
    if (qwen3) norm(at + "self_attn.k_norm", size("head_dim"));
    linear(at + "mlp.gate_proj", wide, hidden, flag("mlp_bias"));
    linear(at + "mlp.up_proj", wide, hidden, flag("mlp_bias"));
    linear(at + "mlp.down_proj", hidden, wide, flag("mlp_bias"));
  }
  return model;
}

inline std::vector<FileTensor> TinyModel::FileTensors(const std::string& dtype) const {
  std::vector<FileTensor> result;
  for (const auto& [name, tensor] : tensors) {
    result.push_back({name, dtype, tensor.shape, EncodeValues(tensor.values, dtype)});
  }
  return result;
}

inline void TinyModel::Write(const std::string& dir, const std::string& dtype, int shards) const {
  WriteFile(dir + "/config.json", config.dump(1));
  const std::vector<FileTensor> all = FileTensors(dtype);
  if (shards == 1) return WriteFile(dir + "/model.safetensors", SafetensorsBytes(all));
  engine::Json map = engine::Json::object();
  for (int shard = 0; shard < shards; ++shard) {
    const std::string file = "model-" + std::to_string(shard) + ".safetensors";
    std::vector<FileTensor> part;
    for (size_t i = static_cast<size_t>(shard); i < all.size(); i += static_cast<size_t>(shards)) {
      map[all[i].name] = file;
      part.push_back(all[i]);
    }
    WriteFile(dir + "/" + file, SafetensorsBytes(part));
  }
  WriteFile(dir + "/model.safetensors.index.json",
            engine::Json{{"metadata", engine::Json::object()}, {"weight_map", map}}.dump(1));
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_TINY_MODEL_H_
