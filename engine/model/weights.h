// Weights: a model's parameters in the layouts that the CPU's ops read, as LoadWeights reads them.
// Immutable once loaded.
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
  // `dtype` (kF32 or kBf16) is what the linears compute in. Errors are those of LoadWeights, and
  // ResourceExhausted when memory is short.
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
  // Identifies what the model computes, as LoadWeights says.
  const std::string& digest() const { return digest_; }
  int64_t bytes() const;

 private:
  friend class PackedSink;

  kernels::DType dtype_ = kernels::DType::kF32;
  std::vector<LayerWeights> layers_;
  std::vector<float> final_norm_;
  kernels::PackedMatrix lm_head_;
  std::optional<kernels::PackedMatrix> embedding_;
  std::string digest_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_WEIGHTS_H_
