// Values for tests and goldens that C++ and Python compute alike, so that no data need be stored.
//   z = seed · 0x9E3779B97F4A7C15 + index + 0x9E3779B97F4A7C15      (all modulo 2^64)
//   z = (z ^ (z >> 30)) · 0xBF58476D1CE4E5B9
//   z = (z ^ (z >> 27)) · 0x94D049BB133111EB
//   hash = z ^ (z >> 31)                                            (SplitMix64's mixer)
//   value = (hash >> 40) · 2^-23 − 1                                in [-1, 1), exact in f32
// In NumPy, with `seed` and `index` of dtype uint64 and wrapping arithmetic, the same lines hold:
//   value = ((hash >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0).astype(np.float32)
#ifndef CHORUS_TESTS_SUPPORT_COUNTER_HASH_H_
#define CHORUS_TESTS_SUPPORT_COUNTER_HASH_H_

#include <cstdint>
#include <vector>

#include "kernels/device/dtype.h"

namespace chorus::test {

constexpr uint64_t CounterHash(uint64_t seed, uint64_t index) {
  constexpr uint64_t kStep = 0x9E3779B97F4A7C15u;
  uint64_t z = seed * kStep + index + kStep;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

constexpr float CounterValue(uint64_t seed, uint64_t index) {
  return static_cast<float>(static_cast<double>(CounterHash(seed, index) >> 40) * 0x1p-23 - 1.0);
}

// `count` values times `scale`.
inline std::vector<float> CounterValues(uint64_t seed, int64_t count, float scale = 1.0f) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = scale * CounterValue(seed, i);
  return values;
}

// Each value rounded to bf16, as f32.
inline std::vector<float> RoundToBf16(std::vector<float> values) {
  for (float& value : values) value = kernels::Bf16::FromFloat(value).ToFloat();
  return values;
}

inline std::vector<kernels::Bf16> ToBf16(const std::vector<float>& values) {
  std::vector<kernels::Bf16> result;
  result.reserve(values.size());
  for (const float value : values) result.push_back(kernels::Bf16::FromFloat(value));
  return result;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_COUNTER_HASH_H_
