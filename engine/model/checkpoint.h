// Checkpoint: the tensors of a model directory by name, whichever of its safetensors files they lie
// in: model.safetensors, or the shards that model.safetensors.index.json lists. Owns the open
// files. Immutable once opened, so any thread may read.
#ifndef CHORUS_ENGINE_MODEL_CHECKPOINT_H_
#define CHORUS_ENGINE_MODEL_CHECKPOINT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/byte_source.h"
#include "engine/model/safetensors.h"

namespace chorus::engine {

struct CheckpointTensor {
  const ByteSource* file = nullptr;
  SafetensorsEntry entry;
};

class Checkpoint {
 public:
  // As transformers does, prefers the single file. NotFound when there is neither; InvalidArgument
  // naming the file or tensor when index and shards do not list the same tensors.
  static absl::StatusOr<Checkpoint> Open(const std::string& model_dir);

  // Null when there is no such tensor.
  const CheckpointTensor* Find(const std::string& name) const;
  const std::map<std::string, CheckpointTensor>& tensors() const { return tensors_; }

 private:
  Checkpoint() = default;

  absl::Status AddFile(const std::string& model_dir, const std::string& name);
  absl::Status AddShards(const std::string& model_dir, const ByteSource& index);

  std::vector<std::unique_ptr<ByteSource>> files_;
  std::map<std::string, CheckpointTensor> tensors_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_CHECKPOINT_H_
