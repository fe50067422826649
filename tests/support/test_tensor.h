// A tensor for kernel tests, of a type chosen at run time. Everything that is not set, the gap
// behind each row included, is NaN: a kernel that reads what it should not shows at once.
#ifndef CHORUS_TESTS_SUPPORT_TEST_TENSOR_H_
#define CHORUS_TESTS_SUPPORT_TEST_TENSOR_H_

#include <cstring>
#include <string>
#include <vector>

#include "kernels/device/tensor_view.h"
#include "tests/support/counter_hash.h"
#include "tests/support/element.h"

namespace chorus::test {

class TestTensor {
 public:
  TestTensor(kernels::DType dtype, int64_t rows, int64_t cols, int64_t gap = 3)
      : dtype_(dtype),
        rows_(rows),
        cols_(cols),
        stride_(cols + gap),
        bytes_(static_cast<size_t>(rows * stride_ * kernels::ByteSize(dtype)), std::byte{0xff}) {}

  // Every element a counter hash of (seed, row, column), whatever the other rows are.
  TestTensor& Fill(uint64_t seed, float scale = 1.0f) {
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < cols_; ++c) {
        Set(r, c, scale * CounterValue(seed, static_cast<uint64_t>(r * cols_ + c)));
      }
    }
    return *this;
  }

  void Set(int64_t row, int64_t col, float value) {
    StoreElement(dtype_, RowData(row), col, value);
  }

  double Get(int64_t row, int64_t col) const { return LoadElement(dtype_, RowData(row), col); }

  // The given rows, in that order.
  TestTensor Pick(const std::vector<int32_t>& rows) const {
    TestTensor picked(dtype_, static_cast<int64_t>(rows.size()), cols_);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(picked.RowData(static_cast<int64_t>(i)), RowData(rows[i]), RowBytes());
    }
    return picked;
  }

  // Bitwise, without the gap.
  bool RowEquals(int64_t row, const TestTensor& other, int64_t other_row) const {
    return std::memcmp(RowData(row), other.RowData(other_row), RowBytes()) == 0;
  }

  bool GapsUntouched() const {
    for (int64_t r = 0; r < rows_; ++r) {
      const std::byte* const end = RowData(r + 1);
      for (const std::byte* p = RowData(r) + RowBytes(); p < end; ++p) {
        if (*p != std::byte{0xff}) return false;
      }
    }
    return true;
  }

  kernels::TensorView view() const {
    return {const_cast<std::byte*>(bytes_.data()),
            rows_,
            cols_,
            stride_,
            dtype_,
            kernels::DeviceType::kCpu};
  }
  kernels::DType dtype() const { return dtype_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

 private:
  size_t RowBytes() const { return static_cast<size_t>(cols_ * kernels::ByteSize(dtype_)); }
  const std::byte* RowData(int64_t row) const {
    return bytes_.data() + row * stride_ * kernels::ByteSize(dtype_);
  }
  std::byte* RowData(int64_t row) {
    return bytes_.data() + row * stride_ * kernels::ByteSize(dtype_);
  }

  kernels::DType dtype_;
  int64_t rows_;
  int64_t cols_;
  int64_t stride_;
  std::vector<std::byte> bytes_;
};

// For test names: "f32", "bf16".
inline std::string NameOf(kernels::DType dtype) { return std::string(kernels::Name(dtype)); }

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_TEST_TENSOR_H_
