#include "kernels/device/arch.h"
#include "kernels/device/floats.h"
#include "kernels/device/pool_view.h"
#include "kernels/rope/rope_append_kv_kernel.h"

namespace chorus::kernels {
namespace {

constexpr int kPiece = kRopePiece;  // half a head is a multiple of it

// What a lane holds of a head: elements [i, i + 4) and [i + head_dim/2, i + head_dim/2 + 4).
struct HeadPiece {
  Floats<kPiece> low, high;
};

template <class X, class D, class Arch>
CHORUS_DEVICE HeadPiece LoadHead(Arch& arch, const RopeAppendKvParams& params, int row,
                                 bool has_delta, int column) {
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

// Cosines (low) and sines (high).
template <class Arch>
CHORUS_DEVICE HeadPiece LoadCosSin(Arch& arch, const RopeAppendKvParams& params, int row, int i) {
  const auto table = arch.Global(params.cos_sin, int64_t{params.rows} * params.head_dim);
  const int64_t at = int64_t{row} * params.head_dim + i;
  return {LoadFloats<kPiece>(arch, float{}, table, at),
          LoadFloats<kPiece>(arch, float{}, table, at + params.head_dim / 2)};
}

// (a, b) → (a·cos − b·sin, b·cos + a·sin), a and b the halves of a head.
CHORUS_DEVICE void Rotate(const HeadPiece& cos_sin, HeadPiece& head) {
  CHORUS_UNROLL
  for (int n = 0; n < kPiece; ++n) {
    const float a = head.low.at[n];
    const float b = head.high.at[n];
    head.low.at[n] = a * cos_sin.low.at[n] - b * cos_sin.high.at[n];
    head.high.at[n] = b * cos_sin.low.at[n] + a * cos_sin.high.at[n];
  }
}

// `head` counts q's heads, then k's, then v's.
template <class T, class Arch>
CHORUS_DEVICE void StoreHead(Arch& arch, const RopeAppendKvParams& params, int row, int32_t page,
                             int32_t position, int head, int i, const HeadPiece& values) {
  const int half = params.head_dim / 2;
  if (head < params.heads) {
    const int64_t columns = int64_t{params.heads} * params.head_dim;
    const auto q = arch.Global(static_cast<T*>(params.q), params.rows * columns);
    const int64_t at = row * columns + head * params.head_dim + i;
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
  const int row_blocks = RopeAppendKvRowBlocks(params.heads, params.kv_heads, params.head_dim);
  const int row = arch.Block() / row_blocks;
  const uint32_t modules = DeltaModules(arch, params.delta, row);
  const int32_t page = arch.Global(params.row_pages, params.rows).Load(row);
  const int32_t position = arch.Global(params.positions, params.rows).Load(row);

  const int lanes = RopeHeadLanes(params.head_dim);
  const int head = (arch.Block() % row_blocks * kRopeAppendKvThreads + arch.Thread()) / lanes;
  const int i = arch.Lane() % lanes * kRopePiece;
  const int first_v = params.heads + params.kv_heads;
  const bool in_head = arch.Guard(i < params.head_dim / 2);
  const bool active = arch.Guard(head < params.heads + 2 * params.kv_heads) && in_head;
  HeadPiece values{};
  HeadPiece cos_sin{};
  if (active) {
    if (head < first_v) cos_sin = LoadCosSin(arch, params, row, i);
    const int module = head < params.heads ? kQ : head < first_v ? kK : kV;
    values =
        LoadHead<X, D>(arch, params, row, HasDelta(modules, module), head * params.head_dim + i);
  }
  if (params.q_norm != nullptr || params.k_norm != nullptr) {
    const float squares = SumOfSquares(values.high, SumOfSquares(values.low, 0.0f));
    const float mean = GroupSum(arch, squares, lanes) / static_cast<float>(params.head_dim);
    const float inverse = arch.Rsqrt(mean + params.norm_eps);
    const float* const norm = head < params.heads ? params.q_norm
                              : head < first_v    ? params.k_norm
                                                  : nullptr;
    if (active && norm != nullptr) Norm(arch, norm, params.head_dim, inverse, i, values);
  }
  if (active && head < first_v) Rotate(cos_sin, values);
  if (active) StoreHead<T>(arch, params, row, page, position, head, i, values);
}

}  // namespace

CHORUS_KERNEL(kRopeAppendKvF32Bf16, RopeAppendKvParams, kRopeAppendKvThreads, 4,
              RopeAppendKvBody<float, float, Bf16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvBf16, RopeAppendKvParams, kRopeAppendKvThreads, 4,
              RopeAppendKvBody<Bf16, float, Bf16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF32F16, RopeAppendKvParams, kRopeAppendKvThreads, 4,
              RopeAppendKvBody<float, float, F16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF16, RopeAppendKvParams, kRopeAppendKvThreads, 4,
              RopeAppendKvBody<F16, float, F16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF32Bf16Delta16, RopeAppendKvParams, kRopeAppendKvThreads, 4,
              RopeAppendKvBody<float, Bf16, Bf16>(arch, params))
CHORUS_KERNEL(kRopeAppendKvF32F16Delta16, RopeAppendKvParams, kRopeAppendKvThreads, 4,
              RopeAppendKvBody<float, F16, F16>(arch, params))

}  // namespace chorus::kernels
