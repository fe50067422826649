// A weight matrix [outputs, inputs] in the layout that the CPU's Linear reads: panels of outputs,
// inputs innermost in pairs (bf16) or singly (f32). Owns its memory (huge pages where there are).
#ifndef CHORUS_KERNELS_LINEAR_PACKED_MATRIX_H_
#define CHORUS_KERNELS_LINEAR_PACKED_MATRIX_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/device/dtype.h"

namespace chorus::kernels {

class PackedMatrix {
 public:
  PackedMatrix() = default;
  ~PackedMatrix();
  PackedMatrix(PackedMatrix&& other) noexcept;
  PackedMatrix& operator=(PackedMatrix&& other) noexcept;

  // An all-zero matrix of `dtype` (kF32 or kBf16). ResourceExhausted when memory is short.
  static absl::StatusOr<PackedMatrix> Allocate(DType dtype, int64_t outputs, int64_t inputs);

  // Copies one output's weights in (converting, round to nearest even) and back out.
  // REQUIRES: 0 <= output < outputs(), `values` has inputs() elements.
  void SetRow(int64_t output, const float* values);
  void GetRow(int64_t output, float* values) const;

  DType dtype() const { return dtype_; }
  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  int64_t bytes() const { return bytes_; }
  const std::byte* data() const { return data_; }

 private:
  DType dtype_ = DType::kF32;
  int64_t outputs_ = 0;
  int64_t inputs_ = 0;
  int64_t bytes_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_PACKED_MATRIX_H_
