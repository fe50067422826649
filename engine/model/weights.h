// Weights: a model's parameters in the layouts that the ops read, loaded tensor by tensor from a
// Hugging Face directory (model.safetensors, or shards with their index). Immutable once loaded.
#ifndef CHORUS_ENGINE_MODEL_WEIGHTS_H_
#define CHORUS_ENGINE_MODEL_WEIGHTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "kernels/linear/packed_matrix.h"

namespace chorus::engine {

struct LayerWeights {
  std::vector<float> input_norm;           // [hidden]
  kernels::PackedMatrix qkv;               // [(heads + 2 kv_heads) · head_dim, hidden]: q | k | v
  std::vector<float> qkv_bias;             // empty without
  std::vector<float> q_norm, k_norm;       // [head_dim], empty without
  kernels::PackedMatrix o;                 // [hidden, heads · head_dim]
  std::vector<float> o_bias;               // empty without
  std::vector<float> post_attention_norm;  // [hidden]
  kernels::PackedMatrix gate_up;           // [2 · intermediate, hidden]: gate | up
  std::vector<float> gate_up_bias;         // empty without
  kernels::PackedMatrix down;              // [hidden, intermediate]
  std::vector<float> down_bias;            // empty without
};

class Weights {
 public:
  // `dtype` (kF32 or kBf16) is what the linears compute in. Reads in slices on a few threads: what
  // is in memory beside the weights stays below 1 MiB a thread. NotFound for missing files,
  // InvalidArgument naming the tensor for anything that is missing, unknown, of another shape or
  // not finite, ResourceExhausted when memory is short. Only one rank is supported yet.
  static absl::StatusOr<Weights> Load(const std::string& model_dir, const ModelConfig& config,
                                      kernels::DType dtype, Shard shard);

  const std::vector<LayerWeights>& layers() const { return layers_; }
  const std::vector<float>& final_norm() const { return final_norm_; }
  const kernels::PackedMatrix& lm_head() const { return lm_head_; }
  // [vocabulary, hidden]; with tied embeddings the lm_head itself.
  const kernels::PackedMatrix& embedding() const {
    return embedding_.has_value() ? *embedding_ : lm_head_;
  }

  kernels::DType dtype() const { return dtype_; }
  // Identifies what the model computes, in hexadecimal digits: SHA-256 over the configuration that
  // enters the mathematics and every tensor's name, type, shape and content. How the tensors are
  // spread over files makes no difference.
  const std::string& digest() const { return digest_; }
  int64_t bytes() const;

 private:
  friend class WeightsLoader;

  kernels::DType dtype_ = kernels::DType::kF32;
  std::vector<LayerWeights> layers_;
  std::vector<float> final_norm_;
  kernels::PackedMatrix lm_head_;
  std::optional<kernels::PackedMatrix> embedding_;
  std::string digest_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_WEIGHTS_H_
