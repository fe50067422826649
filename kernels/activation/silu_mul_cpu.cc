#include "kernels/activation/silu_mul_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/silu_mul_cpu.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/device/work_split.h"
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

template <class D, class V>
HWY_INLINE V SiluMulVector(D d, V gate, V up) {
  const auto denominator = hn::Add(hn::Set(d, 1.0f), ExpF32(d, hn::Neg(gate)));
  return hn::Mul(hn::Div(gate, denominator), up);
}

template <class T>
void SiluMulRow(const float* HWY_RESTRICT gate, const float* HWY_RESTRICT up, size_t width,
                T* HWY_RESTRICT y) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    StoreF32(SiluMulVector(d, hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, y + i);
  }
  if (i < width) {
    const auto g = LoadTailF32(d, gate + i, width - i);
    const auto u = LoadTailF32(d, up + i, width - i);
    StoreTailF32(SiluMulVector(d, g, u), d, y + i, width - i);
  }
}

void SiluMulRows(const SiluMulArgs& args, int64_t begin, int64_t end) {
  const auto width = static_cast<size_t>(args.y.cols);
  for (int64_t row = begin; row < end; ++row) {
    const float* const gate = args.gate_up.Row<float>(row);
    if (args.y.dtype == DType::kBf16) {
      SiluMulRow(gate, gate + width, width, args.y.Row<Bf16>(row));
    } else {
      SiluMulRow(gate, gate + width, width, args.y.Row<float>(row));
    }
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(SiluMulRows);

void SiluMulCpu(const SiluMulArgs& args, ComputePool& pool) {
  const auto rows = HWY_DYNAMIC_DISPATCH(SiluMulRows);
  pool.ParallelFor(args.y.rows, RowGrain(args.y.cols),
                   [&](int64_t begin, int64_t end, int) { rows(args, begin, end); });
}

}  // namespace chorus::kernels
#endif
