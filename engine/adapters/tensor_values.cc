#include "engine/adapters/tensor_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/check.h"

namespace chorus::engine {
namespace {

using kernels::Bf16;
using kernels::DType;
using kernels::F16;

struct F32 {
  uint32_t bits = 0;
  float ToFloat() const { return std::bit_cast<float>(bits); }
  static F32 FromFloat(float value) { return {std::bit_cast<uint32_t>(value)}; }
};

struct Half : F16 {
  // Every finite half is m · 2^(e - 10) with e >= -14 and a whole m: at most 2^11 for the exponent
  // of the value, and 2^11 itself carries into the exponent's bits as it should.
  static Half FromFloat(float value) {
    const double magnitude = std::abs(static_cast<double>(value));
    const int exponent = magnitude == 0.0 ? -14 : std::max(std::ilogb(magnitude), -14);
    const double mantissa = std::nearbyint(std::ldexp(magnitude, 10 - exponent));
    const double bits = std::ldexp(exponent + 14, 10) + mantissa;  // bias 15, hidden bit in m
    const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000u : 0u);
    return {{static_cast<uint16_t>(sign | static_cast<uint16_t>(std::min(bits, 31744.0)))}};
  }
};

template <class T>
T Load(const std::byte* bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

// Calls body with a value of the C++ type of `dtype`.
template <class Body>
auto WithType(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kBf16:
      return body(Bf16{});
    case DType::kF16:
      return body(Half{});
    case DType::kF32:
      break;
  }
  return body(F32{});
}

// Magnitudes of floats order like their bits without the sign, NaN above infinity.
template <class T>
constexpr auto kMagnitudeMask = sizeof(T) == 4 ? 0x7fffffffu : 0x7fffu;

}  // namespace

float ElementAt(std::span<const std::byte> bytes, DType dtype, size_t index) {
  return WithType(dtype,
                  [&](auto type) { return Load<decltype(type)>(bytes.data(), index).ToFloat(); });
}

float LargestMagnitude(std::span<const std::byte> bytes, DType dtype) {
  return WithType(dtype, [&](auto type) {
    using T = decltype(type);
    using Bits = decltype(T{}.bits);
    Bits largest = 0;
    for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
      const auto bits = static_cast<Bits>(Load<T>(bytes.data(), i).bits & kMagnitudeMask<T>);
      largest = std::max(largest, bits);
    }
    T magnitude;
    magnitude.bits = largest;
    return magnitude.ToFloat();
  });
}

std::optional<size_t> FirstNotFinite(std::span<const std::byte> bytes, DType dtype) {
  if (std::isfinite(LargestMagnitude(bytes, dtype))) return std::nullopt;
  size_t index = 0;
  while (std::isfinite(ElementAt(bytes, dtype, index))) ++index;
  return index;
}

Conversion ConvertElements(std::span<const std::byte> from, DType from_type,
                           std::span<std::byte> to, DType to_type) {
  CHORUS_CHECK_EQ(from.size() / static_cast<size_t>(kernels::ByteSize(from_type)),
                  to.size() / static_cast<size_t>(kernels::ByteSize(to_type)));
  Conversion result;
  if (from_type == to_type) {
    std::memcpy(to.data(), from.data(), from.size());
    return result;
  }
  WithType(from_type, [&](auto source) {
    WithType(to_type, [&](auto target) {
      using Source = decltype(source);
      using Target = decltype(target);
      for (size_t i = 0; i < from.size() / sizeof(Source); ++i) {
        const float value = Load<Source>(from.data(), i).ToFloat();
        const Target rounded = Target::FromFloat(value);
        std::memcpy(to.data() + i * sizeof(Target), &rounded, sizeof(Target));
        const float back = rounded.ToFloat();
        if (back == value) continue;
        ++result.inexact;
        if (!std::isfinite(back) && !result.overflow.has_value()) result.overflow = i;
      }
    });
  });
  return result;
}

}  // namespace chorus::engine
