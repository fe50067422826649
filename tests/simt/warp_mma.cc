#include "tests/simt/warp_mma.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace chorus::kernels {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 8;

// Without branches, so that the compiler makes vectors of it: exponents are moved by a product,
// which is exact for subnormals too.
inline float Widen(F16, uint32_t bits) {
  const uint32_t magnitude = bits & 0x7fffu;
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t special = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | special | (bits & 0x8000u) << 16);
}
inline float Widen(Bf16, uint32_t bits) { return std::bit_cast<float>(bits << 16); }

template <class T, int kCount>
void WidenAll(const uint16_t (&from)[kCount], float (&to)[kCount]) {
  for (int i = 0; i < kCount; ++i) to[i] = Widen(T{}, from[i]);
}

float CutOff(double sum) {
  const float rounded = static_cast<float>(sum);
  return std::fabs(static_cast<double>(rounded)) > std::fabs(sum) ? std::nextafterf(rounded, 0.0f)
                                                                  : rounded;
}

// Products of two 16-bit floats are exact in f32: fused or not makes no difference.
template <int K>
void SumToNearest(const float* a, const float* b, float* c) {
  typedef float Row __attribute__((vector_size(32)));
  for (int i = 0; i < kRows; ++i) {
    Row sum;
    std::memcpy(&sum, c + i * kColumns, sizeof(Row));
    for (int k = 0; k < K; ++k) {
      Row row;
      std::memcpy(&row, b + k * kColumns, sizeof(Row));
      sum += a[i * K + k] * row;
    }
    std::memcpy(c + i * kColumns, &sum, sizeof(Row));
  }
}

template <int K>
void SumTowardZero(const float* a, const float* b, float* c) {
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      float& sum = c[i * kColumns + j];
      for (int part = 0; part < K; part += 8) {
        double exact = sum;
        for (int k = part; k < part + 8; ++k) {
          exact += static_cast<double>(a[i * K + k]) * static_cast<double>(b[k * kColumns + j]);
        }
        sum = CutOff(exact);
      }
    }
  }
}

template <class T, int K>
void Multiply(bool toward_zero, const MmaFragments* const* lanes) {
  alignas(32) uint16_t a_bits[kRows * K];
  alignas(32) uint16_t b_bits[K * kColumns];
  alignas(32) float a[kRows * K];
  alignas(32) float b[K * kColumns];
  alignas(32) float c[kRows * kColumns];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    const MmaFragments& own = *lanes[lane];
    for (int half = 0; half < K / 8; ++half) {
      std::memcpy(&a_bits[g * K + 8 * half + 2 * t], &own.a[2 * half], 4);
      std::memcpy(&a_bits[(g + 8) * K + 8 * half + 2 * t], &own.a[2 * half + 1], 4);
      b_bits[(8 * half + 2 * t) * kColumns + g] = static_cast<uint16_t>(own.b[half]);
      b_bits[(8 * half + 2 * t + 1) * kColumns + g] = static_cast<uint16_t>(own.b[half] >> 16);
    }
    std::memcpy(&c[g * kColumns + 2 * t], own.d, 8);
    std::memcpy(&c[(g + 8) * kColumns + 2 * t], own.d + 2, 8);
  }
  WidenAll<T>(a_bits, a);
  WidenAll<T>(b_bits, b);
  if (toward_zero) {
    SumTowardZero<K>(a, b, c);
  } else {
    SumToNearest<K>(a, b, c);
  }
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    std::memcpy(lanes[lane]->d, &c[g * kColumns + 2 * t], 8);
    std::memcpy(lanes[lane]->d + 2, &c[(g + 8) * kColumns + 2 * t], 8);
  }
}

}  // namespace

void WarpMma(DType type, int k, bool toward_zero, const MmaFragments* const* lanes) {
  if (type == DType::kBf16) {
    k == 16 ? Multiply<Bf16, 16>(toward_zero, lanes) : Multiply<Bf16, 8>(toward_zero, lanes);
  } else {
    k == 16 ? Multiply<F16, 16>(toward_zero, lanes) : Multiply<F16, 8>(toward_zero, lanes);
  }
}

}  // namespace chorus::kernels
