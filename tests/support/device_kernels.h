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

// y[i] = 3 · x[i] + salt[i], as a kernel that may begin early: asks for its salt, then waits. Or
// one that breaks the rule of LaunchBegin.
enum class EarlyFault : int32_t {
  kNone,
  kReadsBeforeItWaits,   // x
  kWritesBeforeItWaits,  // y
  kDoesNotWait,
  kLetsNextBeginFirst,
};
struct EarlyParams {
  const uint32_t* salt;  // [count]
  const uint32_t* x;     // [count]
  uint32_t* y;           // [count]; y is not x
  int32_t count;
  EarlyFault fault;
};
extern const Kernel kTestEarly;

// Each thread sums what threads of all blocks of its cluster left in shared memory: thread t of
// block b its own number and that of its block, of the launch.
struct ClusterSumParams {
  float* sums;  // [blocks, kTestThreads]
  int32_t blocks;
};
constexpr int kTestClusterBlocks = 4;
constexpr int32_t kTestClusterShared = 4 * kTestThreads * 4;
extern const Kernel kTestClusterSum;

// What thread `thread` of `block` sums: of block r of its cluster, what thread `thread` + r left.
inline float ClusterSum(int block, int thread) {
  float sum = 0.0f;
  for (int rank = 0; rank < kTestClusterBlocks; ++rank) {
    const int other = block / kTestClusterBlocks * kTestClusterBlocks + rank;
    sum += static_cast<float>(1000 * other + (thread + rank) % kTestThreads);
  }
  return sum;
}

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SUPPORT_DEVICE_KERNELS_H_
