// Elements of an array whose type is known at run time.
#ifndef CHORUS_TESTS_SUPPORT_ELEMENT_H_
#define CHORUS_TESTS_SUPPORT_ELEMENT_H_

#include <cstdint>

#include "kernels/device/dtype.h"

namespace chorus::test {

// Rounds to nearest, ties to even.
inline void StoreElement(kernels::DType dtype, void* data, int64_t i, float value) {
  switch (dtype) {
    case kernels::DType::kF32:
      static_cast<float*>(data)[i] = value;
      break;
    case kernels::DType::kBf16:
      static_cast<kernels::Bf16*>(data)[i] = kernels::Bf16::FromFloat(value);
      break;
    case kernels::DType::kF16:
      static_cast<kernels::F16*>(data)[i] = kernels::F16::FromFloat(value);
      break;
  }
}

inline float LoadElement(kernels::DType dtype, const void* data, int64_t i) {
  switch (dtype) {
    case kernels::DType::kBf16:
      return static_cast<const kernels::Bf16*>(data)[i].ToFloat();
    case kernels::DType::kF16:
      return static_cast<const kernels::F16*>(data)[i].ToFloat();
    default:
      return static_cast<const float*>(data)[i];
  }
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_ELEMENT_H_
