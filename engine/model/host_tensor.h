// HostTensor: memory on the host for a workspace, with views of its first rows.
#ifndef CHORUS_ENGINE_MODEL_HOST_TENSOR_H_
#define CHORUS_ENGINE_MODEL_HOST_TENSOR_H_

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/device/tensor_view.h"

namespace chorus::engine {

class HostTensor {
 public:
  HostTensor() = default;

  // Not initialised. ResourceExhausted when memory is short. REQUIRES: rows, cols >= 1.
  static absl::StatusOr<HostTensor> Allocate(kernels::DType dtype, int64_t rows, int64_t cols) {
    HostTensor tensor;
    tensor.rows_ = rows;
    tensor.cols_ = cols;
    tensor.dtype_ = dtype;
    const size_t size = kernels::RoundUp<size_t>(static_cast<size_t>(tensor.bytes()), kAlignment);
    tensor.data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size)));
    if (tensor.data_ == nullptr) {
      return absl::ResourceExhaustedError("workspace: out of memory");
    }
    return tensor;
  }

  int64_t bytes() const { return rows_ * cols_ * kernels::ByteSize(dtype_); }
  int64_t rows() const { return rows_; }

  // [rows, cols], rows without a gap. REQUIRES: it fits.
  kernels::TensorView View(int64_t rows, int64_t cols) const {
    CHORUS_DCHECK(rows <= rows_ && cols <= cols_);
    return {data_.get(), rows, cols, cols, dtype_, kernels::DeviceType::kCpu};
  }
  kernels::TensorView View(int64_t rows) const { return View(rows, cols_); }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };

  std::unique_ptr<std::byte[], Free> data_;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  kernels::DType dtype_ = kernels::DType::kF32;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_HOST_TENSOR_H_
