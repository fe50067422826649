// What the cases of elementwise kernels share: tensors without gaps, a LoRA delta over random rows,
// address space for buffers that are larger than memory, and comparison with an oracle.
#ifndef CHORUS_TESTS_SUPPORT_OPS_OP_CASE_H_
#define CHORUS_TESTS_SUPPORT_OPS_OP_CASE_H_

#include <sys/mman.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/lora/device_lora.h"
#include "tests/support/element.h"
#include "tests/support/ops/op_device.h"
#include "tests/support/reference/linear.h"
#include "tests/support/test_tensor.h"
#include "tests/support/tolerance.h"

namespace chorus::test {

// The types of a case: of the linear before the kernel, of the computation, and of the LoRA delta.
struct OpTypes {
  kernels::DType x;
  kernels::DType t;
  kernels::DType delta = kernels::DType::kF32;
};
constexpr OpTypes kOpTypes[] = {
    {kernels::DType::kF32, kernels::DType::kBf16},
    {kernels::DType::kBf16, kernels::DType::kBf16},
    {kernels::DType::kF32, kernels::DType::kF16},
    {kernels::DType::kF16, kernels::DType::kF16},
    {kernels::DType::kF32, kernels::DType::kBf16, kernels::DType::kBf16},
    {kernels::DType::kF32, kernels::DType::kF16, kernels::DType::kF16}};
inline std::string NameOf(const OpTypes& types) {
  return NameOf(types.x) + "_" + NameOf(types.t) +
         (types.delta == kernels::DType::kF32 ? "" : "_delta16");
}
// The kernel of the types among an op's: f32 to bf16, bf16, f32 to f16, f16, then those of f32 with
// a delta in 16 bits.
inline const kernels::Kernel& KernelOf(const OpTypes& types,
                                       const kernels::Kernel* const (&kernels)[6]) {
  for (size_t i = 0; i < 6; ++i) {
    const OpTypes& known = kOpTypes[i];
    if (known.x == types.x && known.t == types.t && known.delta == types.delta) return *kernels[i];
  }
  kernels::CheckFailed(__FILE__, __LINE__, "no kernel of " + NameOf(types));
}

inline TestTensor DenseTensor(kernels::DType dtype, int64_t rows, int64_t cols) {
  return {dtype, rows, cols, 0};
}
inline void AddTensor(kernels::SimtMemory& memory, const std::string& name,
                      const TestTensor& tensor, kernels::SimtUse use) {
  const kernels::TensorView view = tensor.view();
  memory.AddBytes(name, view.data, view.rows * view.cols * ByteSize(view.dtype), use,
                  ByteSize(view.dtype) == 2 ? 2 : 4);
}
template <class T>
void AddInput(kernels::SimtMemory& memory, const std::string& name, const std::vector<T>& values) {
  memory.Add(name, const_cast<T*>(values.data()), static_cast<int64_t>(values.size()),
             kernels::SimtUse::kReadOnly);
}

// "" if `got` lies within `tolerance` of `want`.
inline std::string Near(const char* what, int64_t row, int64_t column, double got, double want,
                        double tolerance) {
  if (got == want || std::abs(got - want) <= tolerance) return "";
  return absl::StrCat(what, "[", row, ", ", column, "] is ", got, ", want ", want, " within ",
                      tolerance);
}

// Address space that costs memory only where it is touched, zero at first.
class AddressSpace {
 public:
  explicit AddressSpace(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHORUS_CHECK(data_ != MAP_FAILED);
  }
  ~AddressSpace() { munmap(data_, bytes_); }
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  int64_t bytes() const { return static_cast<int64_t>(bytes_); }

 private:
  void* data_;
  size_t bytes_;
};

// A delta of some modules side by side, as an expand leaves it: random rows have an adapter, random
// adapters have a module, and what is not to be read is NaN.
class TestDelta {
 public:
  // widths[i] columns of module modules[i].
  TestDelta(kernels::DType dtype, uint64_t seed, int rows, const std::vector<int>& modules,
            const std::vector<int>& widths)
      : dtype_(dtype), row_modules_(static_cast<size_t>(rows)) {
    for (const int width : widths) stride_ += width;
    data_.resize(static_cast<size_t>(int64_t{rows} * stride_ * ByteSize(dtype)));
    for (size_t row = 0; row < row_modules_.size(); ++row) {
      const uint64_t hash = CounterHash(seed, row);  // every fifth row has no adapter
      row_modules_[row] = static_cast<uint32_t>(hash % 5 == 0 ? 0 : hash >> 16 & 127);
      int column = 0;
      for (size_t m = 0; m < modules.size(); ++m) {
        for (int i = 0; i < widths[m]; ++i, ++column) {
          const size_t at = row * static_cast<size_t>(stride_) + static_cast<size_t>(column);
          StoreElement(dtype, data_.data(), static_cast<int64_t>(at),
                       Has(row, modules[m]) ? CounterValue(seed + 2, at)
                                            : std::numeric_limits<float>::quiet_NaN());
        }
      }
    }
  }

  void AddTo(kernels::SimtMemory& memory) const {
    AddInput(memory, "row_modules", row_modules_);
    memory.AddBytes("delta", data_.data(), static_cast<int64_t>(data_.size()),
                    kernels::SimtUse::kReadOnly, dtype_ == kernels::DType::kF32 ? 4 : 2);
  }
  kernels::LoraDelta params() const {
    return {.data = data_.data(),
            .rows = static_cast<int32_t>(row_modules_.size()),
            .stride = stride_,
            .row_modules = row_modules_.data()};
  }
  // As it lies there; 0 where there is none.
  double Get(int64_t row, int64_t column) const {
    const float value = LoadElement(dtype_, data_.data(), row * stride_ + column);
    return std::isnan(value) ? 0.0 : value;
  }

 private:
  bool Has(size_t row, int module) const { return (row_modules_[row] >> module & 1) != 0; }

  const kernels::DType dtype_;
  std::vector<uint32_t> row_modules_;
  std::vector<std::byte> data_;
  int32_t stride_ = 0;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_OPS_OP_CASE_H_
