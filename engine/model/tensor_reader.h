// TensorReader: a checkpoint's tensors as rows of f32, read in slices, so that no more than a slice
// of a file is in memory, and hashed on the way. One per thread.
#ifndef CHORUS_ENGINE_MODEL_TENSOR_READER_H_
#define CHORUS_ENGINE_MODEL_TENSOR_READER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace chorus::engine {

using TensorHash = std::array<uint8_t, 32>;  // SHA-256 of a tensor's bytes

class TensorReader {
 public:
  // Calls `take` with each row [cols], in order, and returns the hash. InvalidArgument naming the
  // tensor when its type is not F32, F16 or BF16, or an element is not finite; DataLoss when the
  // file ends early. REQUIRES: the tensor has a whole number of rows of `cols` elements.
  absl::StatusOr<TensorHash> ReadRows(const CheckpointTensor& tensor, int64_t cols,
                                      absl::FunctionRef<void(const float* row)> take);

 private:
  std::vector<std::byte> slice_;
  std::vector<float> row_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_TENSOR_READER_H_
