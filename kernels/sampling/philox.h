// Philox-4x32-10, a counter-based generator (Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", 2011): the draw is a function of its counter and key, with no
// state to keep or to restore.
#ifndef CHORUS_KERNELS_SAMPLING_PHILOX_H_
#define CHORUS_KERNELS_SAMPLING_PHILOX_H_

#include <array>
#include <cstdint>

namespace chorus::kernels {

constexpr std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1) on a grid of 2^-53: key = seed, counter = (position, choice, 0), low words
// first; the first two words of the block, the first one low.
constexpr double UniformDraw(uint64_t seed, int32_t choice, int64_t position) {
  const auto p = static_cast<uint64_t>(position);
  const auto words = Philox4x32(
      {static_cast<uint32_t>(p), static_cast<uint32_t>(p >> 32), static_cast<uint32_t>(choice), 0},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{words[1]} << 32) | words[0];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_PHILOX_H_
