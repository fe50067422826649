// Element types of tensors, and the 16-bit floats as plain bit patterns.
#ifndef CHORUS_KERNELS_DEVICE_DTYPE_H_
#define CHORUS_KERNELS_DEVICE_DTYPE_H_

#include <bit>
#include <cstdint>
#include <string_view>

namespace chorus::kernels {

enum class DType : uint8_t { kF32, kBf16, kF16 };

constexpr int64_t ByteSize(DType type) { return type == DType::kF32 ? 4 : 2; }
constexpr std::string_view Name(DType type) {
  return type == DType::kF32 ? "f32" : type == DType::kBf16 ? "bf16" : "f16";
}

struct Bf16 {
  uint16_t bits = 0;

  constexpr float ToFloat() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
  // Round to nearest, ties to even; a NaN stays a (quiet) NaN.
  static constexpr Bf16 FromFloat(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 0x40u)};
    return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
  }
};

struct F16 {
  uint16_t bits = 0;

  // IEEE 754 binary16, subnormals included.
  constexpr float ToFloat() const {
    const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
    const uint32_t exponent = (bits >> 10) & 0x1fu;
    uint32_t mantissa = bits & 0x3ffu;
    if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) {
      return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    }
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  // Round to nearest, ties to even, to infinity from 65520; a NaN stays a (quiet) NaN.
  static constexpr F16 FromFloat(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (u >> 16) & 0x8000u;
    const uint32_t magnitude = u & 0x7fffffffu;
    uint32_t bits = 0;
    if (magnitude > 0x7f800000u) {
      bits = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    } else if (magnitude >= 0x477ff000u) {
      bits = 0x7c00u;
    } else if (magnitude >= 0x38800000u) {  // 2^-14, the smallest normal one
      bits = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    } else {
      // At 0.5 the last place of an f32 is 2^-24, that of a subnormal f16: the sum rounds to it.
      const float sum = std::bit_cast<float>(magnitude) + 0.5f;
      bits = std::bit_cast<uint32_t>(sum) - 0x3f000000u;
    }
    return {static_cast<uint16_t>(sign | bits)};
  }
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_DTYPE_H_
