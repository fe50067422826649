// Reads the elements of a tensor in a safetensors file as f32, whatever 16- or 32-bit float they
// are stored in.
#ifndef CHORUS_ENGINE_ADAPTERS_TENSOR_VALUES_H_
#define CHORUS_ENGINE_ADAPTERS_TENSOR_VALUES_H_

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_spec.h"
#include "engine/model/byte_source.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

inline void ToFloats(std::span<const std::byte> bytes, kernels::DType dtype, float* out) {
  const size_t count = bytes.size() / static_cast<size_t>(kernels::ByteSize(dtype));
  switch (dtype) {
    case kernels::DType::kF32:
      std::memcpy(out, bytes.data(), bytes.size());
      return;
    case kernels::DType::kBf16:
    case kernels::DType::kF16:
      for (size_t i = 0; i < count; ++i) {
        uint16_t bits;
        std::memcpy(&bits, bytes.data() + 2 * i, 2);
        out[i] = dtype == kernels::DType::kBf16 ? kernels::Bf16{bits}.ToFloat()
                                                : kernels::F16{bits}.ToFloat();
      }
      return;
  }
}

inline absl::StatusOr<std::vector<float>> ReadFloats(const ByteSource& file,
                                                     const TensorSpan& tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  CHORUS_RETURN_IF_ERROR(file.Read(tensor.offset, bytes));
  std::vector<float> values(tensor.bytes / static_cast<uint64_t>(kernels::ByteSize(tensor.dtype)));
  ToFloats(bytes, tensor.dtype, values.data());
  return values;
}

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_TENSOR_VALUES_H_
