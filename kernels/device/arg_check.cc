#include "kernels/device/arg_check.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace chorus::kernels {
namespace {

std::string Size(int64_t size, bool at_least) {
  if (size == ArgCheck::kAny) return "any";
  return at_least ? absl::StrCat(">= ", size) : absl::StrCat(size);
}

absl::string_view TypeName(DType type) { return {Name(type).data(), Name(type).size()}; }

std::string Types(std::initializer_list<DType> types) {
  std::string names;
  for (const DType type : types)
    absl::StrAppend(&names, names.empty() ? "" : " or ", TypeName(type));
  return names;
}

}  // namespace

absl::Status ArgCheck::Fail(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(op_, ": ", what));
}

absl::Status ArgCheck::Shape(absl::string_view name, const TensorView& view, int64_t rows,
                             int64_t cols, bool wide, std::initializer_list<DType> types) const {
  if (view.device != DeviceType::kCpu) {
    return Fail(absl::StrCat(name, " lies on a CUDA device, and this build has no CUDA backend"));
  }
  const bool rows_fit = rows == kAny ? view.rows >= 0 : view.rows == rows;
  const bool cols_fit = cols == kAny ? view.cols >= 0
                        : wide       ? view.cols >= cols
                                     : view.cols == cols;
  const bool type_fits = std::find(types.begin(), types.end(), view.dtype) != types.end();
  if (!rows_fit || !cols_fit || !type_fits) {
    return Fail(absl::StrCat(name, " is [", view.rows, ", ", view.cols, "] ", TypeName(view.dtype),
                             ", want [", Size(rows, false), ", ", Size(cols, wide), "] ",
                             Types(types)));
  }
  if (view.rows > 1 && view.stride < view.cols) {
    return Fail(absl::StrCat(name, " has rows ", view.stride, " elements apart, want at least its ",
                             view.cols, " columns"));
  }
  if (view.data == nullptr && view.rows > 0 && view.cols > 0) {
    return Fail(absl::StrCat(name, " has no data"));
  }
  return absl::OkStatus();
}

absl::Status ArgCheck::Tensor(absl::string_view name, const TensorView& view, int64_t rows,
                              int64_t cols, std::initializer_list<DType> types) const {
  return Shape(name, view, rows, cols, /*wide=*/false, types);
}

absl::Status ArgCheck::WideTensor(absl::string_view name, const TensorView& view, int64_t rows,
                                  int64_t cols, std::initializer_list<DType> types) const {
  return Shape(name, view, rows, cols, /*wide=*/true, types);
}

absl::Status ArgCheck::Pool(const PoolView& pool, int32_t slab) const {
  if (pool.base == nullptr || pool.num_ids < 1 || pool.num_slabs < 1 || pool.kv_heads < 1 ||
      pool.head_dim < 8 || pool.head_dim > kMaxHeadDim || pool.head_dim % 8 != 0) {
    return Fail(absl::StrCat(
        "the pool has ", pool.num_slabs, " slabs of ", pool.num_ids, " ids with ", pool.kv_heads,
        " KV heads of ", pool.head_dim, pool.base == nullptr ? " and no memory" : "",
        ", want at least one of each and a head size of 8, 16, … ", kMaxHeadDim));
  }
  if (pool.dtype != DType::kF32 && pool.dtype != DType::kBf16) {
    return Fail(absl::StrCat("the pool's type is ", TypeName(pool.dtype), ", want f32 or bf16"));
  }
  return InRange("slab", slab, 0, pool.num_slabs);
}

absl::Status ArgCheck::Count(absl::string_view name, int64_t got, int64_t want) const {
  if (got == want) return absl::OkStatus();
  return Fail(absl::StrCat(name, " has ", got, " elements, want ", want));
}

absl::Status ArgCheck::InRange(absl::string_view name, int64_t value, int64_t begin,
                               int64_t end) const {
  if (value >= begin && value < end) return absl::OkStatus();
  return Fail(absl::StrCat(name, " is ", value, ", want one in [", begin, ", ", end, ")"));
}

absl::Status ArgCheck::NotNull(absl::string_view name, const void* pointer) const {
  if (pointer != nullptr) return absl::OkStatus();
  return Fail(absl::StrCat(name, " is null"));
}

}  // namespace chorus::kernels
