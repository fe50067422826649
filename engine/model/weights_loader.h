// LoadWeights: reads a model's parameters from a Hugging Face directory (model.safetensors, or
// shards with their index), tensor by tensor, into whoever keeps them: Weights in the layouts of
// the CPU, DeviceWeights in the memory of a device.
#ifndef CHORUS_ENGINE_MODEL_WEIGHTS_LOADER_H_
#define CHORUS_ENGINE_MODEL_WEIGHTS_LOADER_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"

namespace chorus::engine {

// What a parameter is. Linears that read the same x are one: their outputs follow one another.
enum class WeightRole : uint8_t {
  kInputNorm,  // [hidden]
  kQkv,        // [(heads + 2 kv_heads) · head_dim, hidden]: q | k | v
  kQkvBias,    // likewise, as every bias
  kQNorm,      // [head_dim]
  kKNorm,      // [head_dim]
  kO,          // [hidden, heads · head_dim]
  kOBias,
  kPostAttentionNorm,  // [hidden]
  kGateUp,             // [2 · intermediate, hidden]: gate | up
  kGateUpBias,
  kDown,  // [hidden, intermediate]
  kDownBias,
  kEmbedding,  // [vocabulary, hidden]; none where it is tied to the lm_head
  kFinalNorm,  // [hidden]
  kLmHead,     // [vocabulary, hidden]
};
inline constexpr int kNumWeightRoles = 15;

constexpr bool IsMatrix(WeightRole role) {
  return role == WeightRole::kQkv || role == WeightRole::kO || role == WeightRole::kGateUp ||
         role == WeightRole::kDown || role == WeightRole::kEmbedding || role == WeightRole::kLmHead;
}

struct WeightPlace {
  WeightRole role = WeightRole::kLmHead;
  int32_t layer = 0;  // 0 for what no layer has
};

class WeightsSink {
 public:
  virtual ~WeightsSink() = default;

  // Announces a parameter of [rows, cols], a vector with one row. All come before Allocate, one by
  // one; what the model does not have is not announced.
  virtual absl::Status Add(const WeightPlace& place, int64_t rows, int64_t cols) = 0;
  // Takes the memory. ResourceExhausted when it is short.
  virtual absl::Status Allocate() = 0;
  // Elements [first, first + values.size()) of a parameter, row-major: a row of a matrix, or the
  // part of a vector that one tensor holds. Called by several threads, once for each element.
  // InvalidArgument when a value does not fit the type it is kept in.
  virtual absl::Status Set(const WeightPlace& place, int64_t first,
                           std::span<const float> values) = 0;
};

// Reads in slices on a few threads: what is in memory beside the sink's own stays below 1 MiB a
// thread. Returns the digest: SHA-256, in hexadecimal digits, over the configuration that enters
// the mathematics and every tensor's name, type, shape and content; how the tensors are spread over
// files makes no difference. NotFound for missing files, InvalidArgument naming the tensor for
// anything that is missing, unknown, of another shape or not finite. Only one rank is supported
// yet.
absl::StatusOr<std::string> LoadWeights(const std::string& model_dir, const ModelConfig& config,
                                        Shard shard, WeightsSink* sink);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_WEIGHTS_LOADER_H_
