// Rotary embeddings' frequencies, for every RoPE type that is served.
#ifndef CHORUS_ENGINE_MODEL_ROPE_H_
#define CHORUS_ENGINE_MODEL_ROPE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "engine/json/strict_json.h"
#include "engine/model/model_config.h"

namespace chorus::engine {

// Reads "rope_theta" with "rope_scaling" (transformers 4) or "rope_parameters" (transformers 5).
absl::StatusOr<RopeConfig> ReadRopeConfig(const JsonValue& config, int64_t max_positions);

struct RopeFrequencies {
  std::vector<float> inv_freq;     // [head_dim / 2]
  float attention_scaling = 1.0f;  // multiplies cos and sin
};

// As transformers' modeling_rope_utils computes them. Llama 3's smoothing follows Meta's
// llama-models; yarn follows Peng et al., 2023 (arXiv 2309.00071).
RopeFrequencies ComputeRope(const RopeConfig& rope, int32_t head_dim);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_ROPE_H_
