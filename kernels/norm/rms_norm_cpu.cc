#include "kernels/norm/rms_norm_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/rms_norm_cpu.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/device/work_split.h"
#include "kernels/norm/rms_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

template <class T>
void NormRows(const RmsNormArgs& args, int64_t begin, int64_t end) {
  const auto width = static_cast<size_t>(args.x.cols);
  for (int64_t row = begin; row < end; ++row) {
    NormRow(args.x.Row<float>(row), args.weight, args.eps, width, args.y.Row<T>(row));
  }
}

void RmsNormRows(const RmsNormArgs& args, int64_t begin, int64_t end) {
  if (args.y.dtype == DType::kBf16) {
    NormRows<Bf16>(args, begin, end);
  } else {
    NormRows<float>(args, begin, end);
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(RmsNormRows);

void RmsNormCpu(const RmsNormArgs& args, ComputePool& pool) {
  const auto rows = HWY_DYNAMIC_DISPATCH(RmsNormRows);
  pool.ParallelFor(args.x.rows, RowGrain(args.x.cols),
                   [&](int64_t begin, int64_t end, int) { rows(args, begin, end); });
}

}  // namespace chorus::kernels
#endif
