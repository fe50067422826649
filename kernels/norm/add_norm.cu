#include "kernels/device/arch.h"
#include "kernels/device/floats.h"
#include "kernels/norm/add_norm_kernel.h"

namespace chorus::kernels {
namespace {

// A thread keeps its first piece in registers between the two passes, which is all of rows up to
// 4,096 wide, so that everything is asked for at once. What lies behind is read again.
constexpr int kPiece = 8;

// The residual at `at`, with what the linear left for it.
template <class X, class D, class Arch>
CHORUS_DEVICE Floats<kPiece> AddUp(Arch& arch, const AddNormParams& params, bool has_delta, int row,
                                   int column) {
  const int64_t elements = int64_t{params.rows} * params.hidden;
  const int64_t at = int64_t{row} * params.hidden + column;
  const auto residual = arch.Global(params.residual, elements);
  Floats<kPiece> sum = LoadFloats<kPiece>(arch, float{}, residual, at);
  if (params.linear == nullptr) return sum;
  const auto linear = arch.Global(static_cast<const X*>(params.linear), elements);
  Floats<kPiece> added = LoadFloats<kPiece>(arch, X{}, linear, at);
  if (params.bias != nullptr) {
    const auto bias = arch.Global(params.bias, params.hidden);
    Add(added, LoadFloats<kPiece>(arch, float{}, bias, column));
  }
  if (has_delta) Add(added, LoadDelta<kPiece, D>(arch, params.delta, row, column));
  Add(sum, added);
  StoreFloats(arch, float{}, sum, residual, at);
  return sum;
}

// The sum over the block, the same bits in every thread.
template <class Arch>
CHORUS_DEVICE float BlockSum(Arch& arch, float value) {
  constexpr int kWarps = kAddNormThreads / kWarpThreads;
  const auto sums = Shared<float>(arch, 0, kWarps);
  value = GroupSum(arch, value, kWarpThreads);
  if (arch.Lane() == 0) sums.Store(arch.Warp(), value);
  arch.Sync();
  float total = 0.0f;
  CHORUS_UNROLL
  for (int warp = 0; warp < kWarps; ++warp) total += sums.Load(warp);
  return total;
}

template <class X, class D, class T, class Arch>
CHORUS_DEVICE void AddNormBody(Arch& arch, const AddNormParams& params) {
  constexpr int kStep = kPiece * kAddNormThreads;
  const int output = arch.Block();
  int row = output;
  if (params.row_list != nullptr) {
    row = arch.Global(params.row_list, params.num_outputs).Load(output);
    if (row < 0) return;
  }
  const bool has_delta =
      params.linear != nullptr && HasDelta(DeltaModules(arch, params.delta, row), params.module);
  const int first = kPiece * arch.Thread();
  const bool inside = arch.Guard(first < params.hidden);

  const auto weight = arch.Global(params.weight, params.hidden);
  Floats<kPiece> held{};
  Floats<kPiece> held_weight{};
  float squares = 0.0f;
  if (inside) {
    held_weight = LoadFloats<kPiece>(arch, float{}, weight, first);
    held = AddUp<X, D>(arch, params, has_delta, row, first);
    squares = SumOfSquares(held, squares);
  }
  CHORUS_NO_UNROLL
  for (int column = first + kStep; column < params.hidden; column += kStep) {
    squares = SumOfSquares(AddUp<X, D>(arch, params, has_delta, row, column), squares);
  }

  const float mean = BlockSum(arch, squares) / static_cast<float>(params.hidden);
  const float inverse = arch.Rsqrt(mean + params.eps);
  const auto y =
      arch.Global(static_cast<T*>(params.y), int64_t{params.num_outputs} * params.hidden);
  const auto write = [&](Floats<kPiece> values, const Floats<kPiece>& w, int column) {
    CHORUS_UNROLL
    for (int n = 0; n < kPiece; ++n) values.at[n] = values.at[n] * inverse * w.at[n];
    StoreFloats(arch, T{}, values, y, int64_t{output} * params.hidden + column);
  };
  if (inside) write(held, held_weight, first);
  const auto residual = arch.Global(params.residual, int64_t{params.rows} * params.hidden);
  CHORUS_NO_UNROLL
  for (int column = first + kStep; column < params.hidden; column += kStep) {
    const int64_t at = int64_t{row} * params.hidden + column;
    write(LoadFloats<kPiece>(arch, float{}, residual, at),
          LoadFloats<kPiece>(arch, float{}, weight, column), column);
  }
}

}  // namespace

CHORUS_KERNEL(kAddNormF32Bf16, AddNormParams, kAddNormThreads, 2,
              AddNormBody<float, float, Bf16>(arch, params))
CHORUS_KERNEL(kAddNormBf16, AddNormParams, kAddNormThreads, 2,
              AddNormBody<Bf16, float, Bf16>(arch, params))
CHORUS_KERNEL(kAddNormF32F16, AddNormParams, kAddNormThreads, 2,
              AddNormBody<float, float, F16>(arch, params))
CHORUS_KERNEL(kAddNormF16, AddNormParams, kAddNormThreads, 2,
              AddNormBody<F16, float, F16>(arch, params))
CHORUS_KERNEL(kAddNormF32Bf16Delta16, AddNormParams, kAddNormThreads, 2,
              AddNormBody<float, Bf16, Bf16>(arch, params))
CHORUS_KERNEL(kAddNormF32F16Delta16, AddNormParams, kAddNormThreads, 2,
              AddNormBody<float, F16, F16>(arch, params))

}  // namespace chorus::kernels
