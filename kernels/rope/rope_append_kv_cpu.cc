#include "kernels/rope/rope_append_kv_cpu.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope/rope_append_kv_cpu.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/device/work_split.h"
#include "kernels/norm/rms_norm-inl.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

// (a, b) → (a·cos − b·sin, b·cos + a·sin), a and b the halves of a head. `to` may be `from`.
template <class T>
void RotateHead(const float* from, const float* HWY_RESTRICT cos_sin, size_t head_dim, T* to) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  const size_t half = head_dim / 2;
  const float* const sin = cos_sin + half;
  size_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const auto a = hn::LoadU(d, from + i);
    const auto b = hn::LoadU(d, from + half + i);
    const auto c = hn::LoadU(d, cos_sin + i);
    const auto s = hn::LoadU(d, sin + i);
    StoreF32(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), d, to + i);
    StoreF32(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), d, to + half + i);
  }
  if (i < half) {
    const size_t tail = half - i;
    const auto a = LoadTailF32(d, from + i, tail);
    const auto b = LoadTailF32(d, from + half + i, tail);
    const auto c = LoadTailF32(d, cos_sin + i, tail);
    const auto s = LoadTailF32(d, sin + i, tail);
    StoreTailF32(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), d, to + i, tail);
    StoreTailF32(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), d, to + half + i, tail);
  }
}

template <class T>
void CopyHead(const float* HWY_RESTRICT from, size_t head_dim, T* HWY_RESTRICT to) {
  const F32Tag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= head_dim; i += lanes) StoreF32(hn::LoadU(d, from + i), d, to + i);
  if (i < head_dim) {
    StoreTailF32(LoadTailF32(d, from + i, head_dim - i), d, to + i, head_dim - i);
  }
}

template <class T>
void AppendRow(const RopeAppendKvArgs& args, int64_t row) {
  const PoolView& pool = args.pool;
  const auto head_dim = static_cast<size_t>(pool.head_dim);
  const float* const cos_sin = args.cos_sin.Row<float>(row);
  float* from = args.qkv.Row<float>(row);
  for (int32_t head = 0; head < args.heads; ++head, from += head_dim) {
    if (args.q_norm != nullptr) NormRow(from, args.q_norm, args.norm_eps, head_dim, from);
    RotateHead(from, cos_sin, head_dim, from);
  }
  const auto index = static_cast<size_t>(row);
  const int64_t cell = pool.CellOf(args.slab, args.page_ids[index]);
  auto* const page = reinterpret_cast<T*>(pool.CellAddress(cell)) +
                     int64_t{args.positions[index] % kPageTokens} * pool.head_dim;
  for (int32_t head = 0; head < pool.kv_heads; ++head, from += head_dim) {
    if (args.k_norm != nullptr) NormRow(from, args.k_norm, args.norm_eps, head_dim, from);
    RotateHead(from, cos_sin, head_dim, page + pool.k_offset(head));
  }
  for (int32_t head = 0; head < pool.kv_heads; ++head, from += head_dim) {
    CopyHead(from, head_dim, page + pool.v_offset() + pool.k_offset(head));
  }
}

void AppendRows(const RopeAppendKvArgs& args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    if (args.pool.dtype == DType::kBf16) {
      AppendRow<Bf16>(args, row);
    } else {
      AppendRow<float>(args, row);
    }
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(AppendRows);

void RopeAppendKvCpu(const RopeAppendKvArgs& args, ComputePool& pool) {
  const auto rows = HWY_DYNAMIC_DISPATCH(AppendRows);
  pool.ParallelFor(args.qkv.rows, RowGrain(args.qkv.cols),
                   [&](int64_t begin, int64_t end, int) { rows(args, begin, end); });
}

void RopeTableCpu(const RopeTableArgs& args, ComputePool& pool) {
  const auto half = static_cast<int64_t>(args.inv_freq.size());
  // A sine costs about twenty times what RowGrain counts on.
  const auto rows = static_cast<int64_t>(args.positions.size());
  pool.ParallelFor(rows, RowGrain(40 * half), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const auto position = static_cast<float>(args.positions[static_cast<size_t>(row)]);
      float* const cos_sin = args.cos_sin.Row<float>(row);
      for (int64_t i = 0; i < half; ++i) {
        const double angle = position * args.inv_freq[static_cast<size_t>(i)];
        cos_sin[i] = static_cast<float>(std::cos(angle)) * args.attention_scaling;
        cos_sin[half + i] = static_cast<float>(std::sin(angle)) * args.attention_scaling;
      }
    }
  });
}

}  // namespace chorus::kernels
#endif
