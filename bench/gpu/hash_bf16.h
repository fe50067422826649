// Random numbers that host and device agree on without a copy.
#ifndef CHORUS_BENCH_GPU_HASH_BF16_H_
#define CHORUS_BENCH_GPU_HASH_BF16_H_

#include <cstdint>

#include "kernels/device/device_code.h"

namespace chorus::bench {

// The bf16 at `n`, alike on host and device, of about ±0.06: sign, one of four exponents,
// mantissa.
CHORUS_HOST_DEVICE uint16_t HashBf16(uint64_t n) {
  n += 0x9e3779b97f4a7c15ull;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ull;
  n = (n ^ (n >> 27)) * 0x94d049bb133111ebull;
  const auto h = static_cast<uint32_t>(n >> 32);
  return static_cast<uint16_t>((h & 0x8000u) | ((119u + (h >> 16 & 3u)) << 7) | (h & 0x7fu));
}

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_HASH_BF16_H_
