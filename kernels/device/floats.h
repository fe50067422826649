// A few consecutive elements of f32, bf16 or f16 memory, as f32 in registers: what the elementwise
// kernels move at a time.
#ifndef CHORUS_KERNELS_DEVICE_FLOATS_H_
#define CHORUS_KERNELS_DEVICE_FLOATS_H_

#include "kernels/device/device_code.h"

namespace chorus::kernels {

// kCount is 4 or 8.
template <int kCount>
struct Floats {
  float at[kCount];
};

// The tag is the element type of `from`. REQUIRES: i and the row it lies in are multiples of
// kCount.
template <int kCount, class Arch, class Span>
CHORUS_DEVICE Floats<kCount> LoadFloats(Arch&, float, const Span& from, int64_t i) {
  Floats<kCount> values;
  CHORUS_UNROLL
  for (int n = 0; n < kCount; n += 4) {
    F4 four;
    from.LoadTo(four, i + n);
    values.at[n] = four.x;
    values.at[n + 1] = four.y;
    values.at[n + 2] = four.z;
    values.at[n + 3] = four.w;
  }
  return values;
}

template <int kCount, class T, class Arch, class Span>
CHORUS_DEVICE Floats<kCount> LoadFloats(Arch& arch, T, const Span& from, int64_t i) {
  uint32_t pairs[kCount / 2];
  if constexpr (kCount == 8) {
    U4 words;
    from.LoadTo(words, i);
    pairs[0] = words.x;
    pairs[1] = words.y;
    pairs[2] = words.z;
    pairs[3] = words.w;
  } else {
    U2 words;
    from.LoadTo(words, i);
    pairs[0] = words.x;
    pairs[1] = words.y;
  }
  Floats<kCount> values;
  CHORUS_UNROLL
  for (int n = 0; n < kCount / 2; ++n) {
    const F2 two = arch.Unpack(T{}, pairs[n]);
    values.at[2 * n] = two.x;
    values.at[2 * n + 1] = two.y;
  }
  return values;
}

template <int kCount, class Arch, class Span>
CHORUS_DEVICE void StoreFloats(Arch&, float, const Floats<kCount>& values, const Span& to,
                               int64_t i) {
  CHORUS_UNROLL
  for (int n = 0; n < kCount; n += 4) {
    to.StoreFrom(F4{values.at[n], values.at[n + 1], values.at[n + 2], values.at[n + 3]}, i + n);
  }
}

// Rounds to nearest even.
template <int kCount, class T, class Arch, class Span>
CHORUS_DEVICE void StoreFloats(Arch& arch, T, const Floats<kCount>& values, const Span& to,
                               int64_t i) {
  uint32_t pairs[kCount / 2];
  CHORUS_UNROLL
  for (int n = 0; n < kCount / 2; ++n) {
    pairs[n] = arch.Pack(T{}, values.at[2 * n], values.at[2 * n + 1]);
  }
  if constexpr (kCount == 8) {
    to.StoreFrom(U4{pairs[0], pairs[1], pairs[2], pairs[3]}, i);
  } else {
    to.StoreFrom(U2{pairs[0], pairs[1]}, i);
  }
}

template <int kCount>
CHORUS_DEVICE void Add(Floats<kCount>& to, const Floats<kCount>& values) {
  CHORUS_UNROLL
  for (int n = 0; n < kCount; ++n) to.at[n] += values.at[n];
}

template <int kCount>
CHORUS_DEVICE float SumOfSquares(const Floats<kCount>& values, float sum) {
  CHORUS_UNROLL
  for (int n = 0; n < kCount; ++n) sum = Fma(values.at[n], values.at[n], sum);
  return sum;
}

// The sum over groups of `lanes` (a power of two) neighbours: the same bits in each of them.
template <class Arch>
CHORUS_DEVICE float GroupSum(Arch& arch, float value, int lanes) {
  CHORUS_NO_UNROLL
  for (int mask = lanes / 2; mask > 0; mask /= 2) value += arch.ShflXor(value, mask);
  return value;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_FLOATS_H_
