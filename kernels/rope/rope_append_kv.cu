#include "kernels/device/arch.h"
#include "kernels/device/floats.h"
#include "kernels/device/pool_view.h"
#include "kernels/rope/rope_append_kv_kernel.h"

namespace chorus::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarpThreads;
// Elements of each half of a head in one lane: half a head is a multiple of 4.
constexpr int kPiece = 4;

// What a lane holds of a head: elements [i, i + 4) and [i + head_dim/2, i + head_dim/2 + 4).
struct HeadPiece {
  Floats<kPiece> low, high;
};

template <class X, class D, class Arch>
CHORUS_DEVICE HeadPiece LoadHead(Arch& arch, const RopeAppendKvParams& params, bool has_delta,
                                 int column) {
  const int row = arch.Block();
  const int columns = (params.heads + 2 * params.kv_heads) * params.head_dim;
  const int half = params.head_dim / 2;
  const auto qkv = arch.Global(static_cast<const X*>(params.qkv), int64_t{params.rows} * columns);
  const int64_t at = int64_t{row} * columns + column;
  HeadPiece head{LoadFloats<kPiece>(arch, X{}, qkv, at),
                 LoadFloats<kPiece>(arch, X{}, qkv, at + half)};
  if (params.bias != nullptr) {
    const auto bias = arch.Global(params.bias, columns);
    Add(head.low, LoadFloats<kPiece>(arch, float{}, bias, column));
    Add(head.high, LoadFloats<kPiece>(arch, float{}, bias, column + half));
  }
  if (has_delta) {
    Add(head.low, LoadDelta<kPiece, D>(arch, params.delta, row, column));
    Add(head.high, LoadDelta<kPiece, D>(arch, params.delta, row, column + half));
  }
  return head;
}

template <class Arch>
CHORUS_DEVICE void Norm(Arch& arch, const float* norm, int head_dim, float inverse, int i,
                        HeadPiece& head) {
  const auto weight = arch.Global(norm, head_dim);
  const auto low = LoadFloats<kPiece>(arch, float{}, weight, i);
  const auto high = LoadFloats<kPiece>(arch, float{}, weight, i + head_dim / 2);
  CHORUS_UNROLL
  for (int n = 0; n < kPiece; ++n) {
    head.low.at[n] = head.low.at[n] * inverse * low.at[n];
    head.high.at[n] = head.high.at[n] * inverse * high.at[n];
  }
}

// (a, b) → (a·cos − b·sin, b·cos + a·sin), a and b the halves of a head.
template <class Arch>
CHORUS_DEVICE void Rotate(Arch& arch, const RopeAppendKvParams& params, int i, HeadPiece& head) {
  const auto table = arch.Global(params.cos_sin, int64_t{params.rows} * params.head_dim);
  const int64_t at = int64_t{arch.Block()} * params.head_dim + i;
  const auto cos = LoadFloats<kPiece>(arch, float{}, table, at);
  const auto sin = LoadFloats<kPiece>(arch, float{}, table, at + params.head_dim / 2);
  CHORUS_UNROLL
  for (int n = 0; n < kPiece; ++n) {
    const float a = head.low.at[n];
    const float b = head.high.at[n];
    head.low.at[n] = a * cos.at[n] - b * sin.at[n];
    head.high.at[n] = b * cos.at[n] + a * sin.at[n];
  }
}

// `head` counts q's heads, then k's, then v's.
template <class T, class Arch>
CHORUS_DEVICE void StoreHead(Arch& arch, const RopeAppendKvParams& params, int32_t page,
                             int32_t position, int head, int i, const HeadPiece& values) {
  const int half = params.head_dim / 2;
  if (head < params.heads) {
    const int64_t columns = int64_t{params.heads} * params.head_dim;
    const auto q = arch.Global(static_cast<T*>(params.q), params.rows * columns);
    const int64_t at = arch.Block() * columns + head * params.head_dim + i;
    StoreFloats(arch, T{}, values.low, q, at);
    StoreFloats(arch, T{}, values.high, q, at + half);
    return;
  }
  if (page < 0) return;
  // [K | V][kv_heads][kPageTokens][head_dim]: K and V heads follow one another as they do here.
  const int64_t head_bytes = int64_t{kPageTokens} * params.head_dim * sizeof(T);
  const int64_t cell_bytes = 2 * params.kv_heads * head_bytes;
  const auto pool = arch.Global(params.pool, params.num_slabs * params.num_ids * cell_bytes);
  const int64_t element = position % kPageTokens * params.head_dim + i;
  const int64_t offset = (head - params.heads) * head_bytes + element * sizeof(T);
  const int64_t at = PageAddress(params.slab * params.num_ids + page, cell_bytes, offset);
  StoreFloats(arch, T{}, values.low, pool, at);
  StoreFloats(arch, T{}, values.high, pool, at + half * sizeof(T));
}

template <class X, class D, class T, class Arch>
CHORUS_DEVICE void RopeAppendKvBody(Arch& arch, const RopeAppendKvParams& params) {
  const int row = arch.Block();
  const int32_t page = arch.Global(params.row_pages, params.rows).Load(row);
  const int32_t position = arch.Global(params.positions, params.rows).Load(row);
  const bool q_delta = HasDelta(arch, params.delta, row, kQ);
  const bool k_delta = HasDelta(arch, params.delta, row, kK);
  const bool v_delta = HasDelta(arch, params.delta, row, kV);
  const bool norms = params.q_norm != nullptr || params.k_norm != nullptr;

  // A head takes a group of lanes, the power of two that it fills.
  const int lanes = params.head_dim / 2 / kPiece;
  int group = 1;
  while (group < lanes) group *= 2;
  const int warp_heads = kWarpThreads / group;
  const int heads = params.heads + 2 * params.kv_heads;
  const int first_v = params.heads + params.kv_heads;
  const int i = arch.Lane() % group * kPiece;
  CHORUS_NO_UNROLL
  for (int first = arch.Warp() * warp_heads; first < heads; first += kWarps * warp_heads) {
    const int head = first + arch.Lane() / group;
    const bool in_head = arch.Guard(i < params.head_dim / 2);
    const bool active = arch.Guard(head < heads) && in_head;
    HeadPiece values{};
    if (active) {
      const bool has_delta = head < params.heads ? q_delta : head < first_v ? k_delta : v_delta;
      values = LoadHead<X, D>(arch, params, has_delta, head * params.head_dim + i);
    }
    if (norms) {
      const float squares = SumOfSquares(values.high, SumOfSquares(values.low, 0.0f));
      const float mean = GroupSum(arch, squares, group) / static_cast<float>(params.head_dim);
      const float inverse = arch.Rsqrt(mean + params.norm_eps);
      const float* const norm = head < params.heads ? params.q_norm
                                : head < first_v    ? params.k_norm
                                                    : nullptr;
      if (active && norm != nullptr) Norm(arch, norm, params.head_dim, inverse, i, values);
    }
    if (active && head < first_v) Rotate(arch, params, i, values);
    if (active) StoreHead<T>(arch, params, page, position, head, i, values);
  }
}

}  // namespace

CHORUS_KERNEL(kRopeAppendKvF32Bf16, RopeAppendKvParams, kThreads, 4,
              RopeAppendKvBody<float, float, Bf16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvBf16, RopeAppendKvParams, kThreads, 4,
              RopeAppendKvBody<Bf16, float, Bf16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF32F16, RopeAppendKvParams, kThreads, 4,
              RopeAppendKvBody<float, float, F16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF16, RopeAppendKvParams, kThreads, 4,
              RopeAppendKvBody<F16, float, F16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF32Bf16Delta16, RopeAppendKvParams, kThreads, 4,
              RopeAppendKvBody<float, Bf16, Bf16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF32F16Delta16, RopeAppendKvParams, kThreads, 4,
              RopeAppendKvBody<float, F16, F16>(arch, params))

}  // namespace chorus::kernels
