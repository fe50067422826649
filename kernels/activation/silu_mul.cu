#include "kernels/activation/silu_mul_kernel.h"
#include "kernels/device/arch.h"
#include "kernels/device/floats.h"

namespace chorus::kernels {
namespace {

template <class X, class D, class T, class Arch>
CHORUS_DEVICE void SiluMulBody(Arch& arch, const SiluMulParams& params) {
  const int row_blocks = SiluMulRowBlocks(params.width);
  const int row = arch.Block() / row_blocks;
  const int column = kSiluMulPiece * (arch.Block() % row_blocks * kSiluMulThreads + arch.Thread());
  if (!arch.Guard(column < params.width)) return;

  const int columns = 2 * params.width;
  const uint32_t modules = DeltaModules(arch, params.delta, row);
  const auto load = [&](int from) {
    const auto gate_up =
        arch.Global(static_cast<const X*>(params.gate_up), int64_t{params.rows} * columns);
    auto values = LoadFloats<kSiluMulPiece>(arch, X{}, gate_up, int64_t{row} * columns + from);
    if (params.bias != nullptr) {
      const auto bias = arch.Global(params.bias, columns);
      Add(values, LoadFloats<kSiluMulPiece>(arch, float{}, bias, from));
    }
    return values;
  };
  const auto load_delta = [&](int module, int from) {
    if (!HasDelta(modules, module)) return Floats<kSiluMulPiece>{};
    return LoadDelta<kSiluMulPiece, D>(arch, params.delta, row, from);
  };
  // All that is read is asked for before the first sum waits for it.
  Floats<kSiluMulPiece> gate = load(column);
  Floats<kSiluMulPiece> up = load(params.width + column);
  const Floats<kSiluMulPiece> gate_delta = load_delta(kGate, column);
  const Floats<kSiluMulPiece> up_delta = load_delta(kUp, params.width + column);
  Add(gate, gate_delta);
  Add(up, up_delta);
  CHORUS_UNROLL
  for (int n = 0; n < kSiluMulPiece; ++n) {
    gate.at[n] = gate.at[n] / (1.0f + arch.Exp(-gate.at[n])) * up.at[n];
  }
  const auto y = arch.Global(static_cast<T*>(params.y), int64_t{params.rows} * params.width);
  StoreFloats(arch, T{}, gate, y, int64_t{row} * params.width + column);
}

}  // namespace

CHORUS_KERNEL(kSiluMulF32Bf16, SiluMulParams, kSiluMulThreads, 4,
              SiluMulBody<float, float, Bf16>(arch, params))
CHORUS_KERNEL(kSiluMulBf16, SiluMulParams, kSiluMulThreads, 4,
              SiluMulBody<Bf16, float, Bf16>(arch, params))
CHORUS_KERNEL(kSiluMulF32F16, SiluMulParams, kSiluMulThreads, 4,
              SiluMulBody<float, float, F16>(arch, params))
CHORUS_KERNEL(kSiluMulF16, SiluMulParams, kSiluMulThreads, 4,
              SiluMulBody<F16, float, F16>(arch, params))
CHORUS_KERNEL(kSiluMulF32Bf16Delta16, SiluMulParams, kSiluMulThreads, 4,
              SiluMulBody<float, Bf16, Bf16>(arch, params))
CHORUS_KERNEL(kSiluMulF32F16Delta16, SiluMulParams, kSiluMulThreads, 4,
              SiluMulBody<float, F16, F16>(arch, params))

}  // namespace chorus::kernels
