// Checked 64-bit arithmetic for sizes that come from files and clients: nullopt on overflow.
#ifndef CHORUS_KERNELS_CHECKED_H_
#define CHORUS_KERNELS_CHECKED_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace chorus::kernels {

inline std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// `value` as To, or nullopt when To cannot hold it.
template <class To, class From>
std::optional<To> CheckedCast(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

// ⌈a / b⌉. REQUIRES: a >= 0, b > 0.
template <class T>
constexpr T CeilDiv(T a, T b) {
  return (a + b - 1) / b;
}

template <class T>
constexpr T RoundUp(T a, T b) {
  return CeilDiv(a, b) * b;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_CHECKED_H_
