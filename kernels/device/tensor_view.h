// A borrowed two-dimensional tensor: row-major, rows `stride` elements apart, on a known device.
// Views are passed by value and own nothing; what they show must outlive them.
#ifndef CHORUS_KERNELS_DEVICE_TENSOR_VIEW_H_
#define CHORUS_KERNELS_DEVICE_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>

#include "kernels/check.h"
#include "kernels/device/dtype.h"

namespace chorus::kernels {

// kCuda: the memory of a Device (kernels/device/device.h), whichever that is.
enum class DeviceType : uint8_t { kCpu, kCuda };

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<Bf16> {
  static constexpr DType value = DType::kBf16;
};
template <>
struct DTypeOf<F16> {
  static constexpr DType value = DType::kF16;
};

struct TensorView {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements from one row to the next, at least cols
  DType dtype = DType::kF32;
  DeviceType device = DeviceType::kCpu;

  template <class T>
  static TensorView Of(T* data, int64_t rows, int64_t cols) {
    return {data, rows, cols, cols, DTypeOf<T>::value, DeviceType::kCpu};
  }

  // Element (row, 0). REQUIRES: the view's type is T and it lies on the host.
  template <class T>
  T* Row(int64_t row) const {
    CHORUS_DCHECK(dtype == DTypeOf<T>::value && device == DeviceType::kCpu);
    return static_cast<T*>(data) + row * stride;
  }

  // Rows [first, first + count), same columns.
  TensorView Rows(int64_t first, int64_t count) const {
    TensorView view = *this;
    view.data = static_cast<std::byte*>(data) + first * stride * ByteSize(dtype);
    view.rows = count;
    return view;
  }

  // Columns [first, first + count), same rows.
  TensorView Columns(int64_t first, int64_t count) const {
    TensorView view = *this;
    view.data = static_cast<std::byte*>(data) + first * ByteSize(dtype);
    view.cols = count;
    return view;
  }
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_TENSOR_VIEW_H_
