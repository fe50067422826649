// What ops check of their arguments, once, before any work: device, type and shape. Messages read
//   LoraShrink: xa is [3, 8] bf16, want [3, >= 16] f32
#ifndef CHORUS_KERNELS_DEVICE_ARG_CHECK_H_
#define CHORUS_KERNELS_DEVICE_ARG_CHECK_H_

#include <cstdint>
#include <initializer_list>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/tensor_view.h"

namespace chorus::kernels {

// All functions return InvalidArgument naming op, argument, what came and what was expected.
class ArgCheck {
 public:
  static constexpr int64_t kAny = -1;

  explicit constexpr ArgCheck(absl::string_view op) : op_(op) {}

  // `view` is [rows, cols] (kAny: whatever it is) of one of `types`, on the host, rows not
  // overlapping, and has data unless it is empty.
  absl::Status Tensor(absl::string_view name, const TensorView& view, int64_t rows, int64_t cols,
                      std::initializer_list<DType> types) const;
  // The same with at least `cols` columns.
  absl::Status WideTensor(absl::string_view name, const TensorView& view, int64_t rows,
                          int64_t cols, std::initializer_list<DType> types) const;
  // A pool of f32 or bf16 pages with at least one id and slab, kv_heads >= 1 and head_dim a
  // multiple of 8 up to 256; `slab` lies in it.
  absl::Status Pool(const PoolView& pool, int32_t slab) const;
  // Something counted, by its name: `got` elements where `want` are expected.
  absl::Status Count(absl::string_view name, int64_t got, int64_t want) const;
  // begin <= value < end.
  absl::Status InRange(absl::string_view name, int64_t value, int64_t begin, int64_t end) const;
  absl::Status NotNull(absl::string_view name, const void* pointer) const;
  absl::Status Fail(absl::string_view what) const;

 private:
  absl::Status Shape(absl::string_view name, const TensorView& view, int64_t rows, int64_t cols,
                     bool wide, std::initializer_list<DType> types) const;

  absl::string_view op_;
};

constexpr int32_t kMaxHeadDim = 256;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_ARG_CHECK_H_
