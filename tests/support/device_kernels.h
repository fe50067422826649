// Small kernels for the tests of devices, one source for the simulator and for a GPU.
#ifndef CHORUS_TESTS_SUPPORT_DEVICE_KERNELS_H_
#define CHORUS_TESTS_SUPPORT_DEVICE_KERNELS_H_

#include <cstdint>

#include "kernels/device/device_code.h"
#include "kernels/device/kernel.h"

namespace chorus::kernels {

constexpr int kTestThreads = 128;

// `rounds` steps of a generator from `x`: nothing computes many faster than one by one.
CHORUS_HOST_DEVICE uint32_t Scrambled(uint32_t x, int32_t rounds) {
  for (int32_t i = 0; i < rounds; ++i) x = (x ^ (x >> 15)) * 0x2c1b3c6du + 0x297a2d39u;
  return x;
}

// y[i] = Scrambled(x[i], rounds); y may be x.
struct ScrambleParams {
  const uint32_t* x;  // [count]
  uint32_t* y;        // [count]
  int32_t count;
  int32_t rounds;
};
extern const Kernel kTestScramble;

// Each thread sums the words of shared memory that another one wrote: word w is w + block.
struct SharedSumParams {
  uint32_t* sums;  // [blocks, kTestThreads]
  int32_t blocks;
  int32_t words;  // of shared memory, a multiple of kTestThreads
};
extern const Kernel kTestSharedSum;

// What thread `thread` of `block` sums.
inline uint32_t SharedSum(const SharedSumParams& params, int block, int thread) {
  uint32_t sum = 0;
  for (int word = thread; word < params.words; word += kTestThreads) {
    sum += static_cast<uint32_t>(params.words - 1 - word + block);
  }
  return sum;
}

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SUPPORT_DEVICE_KERNELS_H_
