#include "kernels/device/arch.h"
#include "kernels/rope/rope_table_kernel.h"

namespace chorus::kernels {
namespace {

struct CosSin {
  float cos, sin;
};

// x (x² p(x²)) by Horner's rule, p's coefficients from the highest power down.
template <int kTerms>
CHORUS_DEVICE double Polynomial(double square, const double (&coefficients)[kTerms]) {
  double sum = coefficients[0];
  CHORUS_UNROLL
  for (int n = 1; n < kTerms; ++n) sum = Fma(sum, square, coefficients[n]);
  return sum;
}

// In double, whatever the angle: the multiple of π/2 is taken out in two parts (Cody and Waite,
// 1980), of which the first product is exact in the fused multiply-add, so that the rest errs by
// less than 1e-15 up to angles of 2^31; then Taylor's series, whose tails on |r| <= π/4 are below
// 2^-53. In f32 a reduction good to 1e-7 at a million would need as many steps, and the library's
// keeps a table of 2/π in local memory.
CHORUS_DEVICE CosSin CosSinOf(float angle) {
  const double quarters = rint(angle * 0.63661977236758134308);
  double r = Fma(-quarters, 1.5707963267948965580, static_cast<double>(angle));
  r = Fma(-quarters, 6.1232339957367660e-17, r);
  const double square = r * r;
  const double sin_terms[] = {
      -1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0,
      -1.0 / 5040.0,          1.0 / 120.0,        -1.0 / 6.0};
  const double cos_terms[] = {
      1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0,
      1.0 / 40320.0,          -1.0 / 720.0,         1.0 / 24.0,        -0.5};
  const double sin = Fma(r * square, Polynomial(square, sin_terms), r);
  const double cos = Fma(square, Polynomial(square, cos_terms), 1.0);
  // sin and cos change places with every quarter turn, and signs with every second.
  const auto turn = static_cast<int64_t>(quarters) & 3;
  const double turned_cos = (turn & 1) != 0 ? sin : cos;
  const double turned_sin = (turn & 1) != 0 ? cos : sin;
  return {static_cast<float>(turn == 1 || turn == 2 ? -turned_cos : turned_cos),
          static_cast<float>(turn >= 2 ? -turned_sin : turned_sin)};
}

template <class Arch>
CHORUS_DEVICE void RopeTableBody(Arch& arch, const RopeTableParams& params) {
  const int64_t index = int64_t{arch.Block()} * kRopeTableThreads + arch.Thread();
  if (!arch.Guard(index < int64_t{params.rows} * params.half)) return;
  const auto row = static_cast<int>(index / params.half);
  const auto i = static_cast<int>(index % params.half);
  const auto position = static_cast<float>(arch.Global(params.positions, params.rows).Load(row));
  const float frequency = arch.Global(params.inv_freq, params.half).Load(i);
  const CosSin result = CosSinOf(position * frequency);
  const auto cos_sin = arch.Global(params.cos_sin, int64_t{2} * params.rows * params.half);
  const int64_t at = int64_t{2} * row * params.half + i;
  cos_sin.Store(at, result.cos * params.attention_scaling);
  cos_sin.Store(at + params.half, result.sin * params.attention_scaling);
}

}  // namespace

CHORUS_KERNEL(kRopeTable, RopeTableParams, kRopeTableThreads, 4, RopeTableBody(arch, params))

}  // namespace chorus::kernels
