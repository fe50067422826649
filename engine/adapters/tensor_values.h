// Elements of tensors as they lie in files: little-endian f32, f16 or bf16, at any alignment.
#ifndef CHORUS_ENGINE_ADAPTERS_TENSOR_VALUES_H_
#define CHORUS_ENGINE_ADAPTERS_TENSOR_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/device/dtype.h"

namespace chorus::engine {

// REQUIRES: `bytes` holds element `index`.
float ElementAt(std::span<const std::byte> bytes, kernels::DType dtype, size_t index);

// The largest magnitude among the elements: infinity or NaN when one of them is not finite.
float LargestMagnitude(std::span<const std::byte> bytes, kernels::DType dtype);

// The first element that is infinite or NaN.
std::optional<size_t> FirstNotFinite(std::span<const std::byte> bytes, kernels::DType dtype);

struct Conversion {
  std::optional<size_t> overflow;  // the first element that became infinite
  size_t inexact = 0;              // elements that were rounded
};

// Converts every element from one type to another, rounding to nearest, ties to even.
// REQUIRES: the elements are finite, and `to` has room for as many of its own.
Conversion ConvertElements(std::span<const std::byte> from, kernels::DType from_type,
                           std::span<std::byte> to, kernels::DType to_type);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_TENSOR_VALUES_H_
