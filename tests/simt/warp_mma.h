// What the matrix instructions of a warp compute, from the fragments of its 32 lanes: D += A · B
// with A of 16 × K, B of K × 8, in 16-bit floats, and D of 16 × 8 in f32. With g = lane / 4 and
// t = lane % 4, low half of a register first:
//
//   a0: A[g][2t, 2t+1]     a1: A[g+8][2t, 2t+1]    b0: B[2t, 2t+1][g]
//   a2: A[g][2t+8, 2t+9]   a3: A[g+8][2t+8, 2t+9]  b1: B[2t+8, 2t+9][g]    (only where K is 16)
//   d0, d1: D[g][2t, 2t+1]     d2, d3: D[g+8][2t, 2t+1]
#ifndef CHORUS_TESTS_SIMT_WARP_MMA_H_
#define CHORUS_TESTS_SIMT_WARP_MMA_H_

#include <cstdint>

#include "kernels/device/dtype.h"

namespace chorus::kernels {

struct MmaFragments {
  float* d;  // [4]
  uint32_t a[4];
  uint32_t b[2];
};

// `type` is bf16 or f16, `k` 16 or 8, `lanes` has 32. `toward_zero` sums eight products at a time
// in double and cuts the sum off, as hardware may, instead of rounding to nearest after each.
void WarpMma(DType type, int k, bool toward_zero, const MmaFragments* const* lanes);

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_WARP_MMA_H_
