// A small kernel that uses everything an Arch has: the executor's own test, and the proof that both
// compilers take one source. Its shape is that of the real ones: a ring of asynchronous copies that
// all warps read, MMAs, an epilogue through shared memory.
#ifndef CHORUS_TESTS_SIMT_EXAMPLE_KERNEL_H_
#define CHORUS_TESTS_SIMT_EXAMPLE_KERNEL_H_

#include <cstdint>

#include "kernels/device/dtype.h"
#include "kernels/device/kernel.h"

namespace chorus::kernels {

constexpr int kExampleThreads = 64;
constexpr int kExampleColumns = 8;
constexpr int kExampleRowsPerGroup = 32;  // 16 for each warp; blocks stride over groups
constexpr int kExampleStages = 3;
constexpr int kExampleSharedBytes =
    kExampleStages * kExampleColumns * 16 * 2 + kExampleRowsPerGroup * kExampleColumns * 4;

// y = log(1 + exp(x · wᵀ / √k)).
template <class T>
struct ExampleParams {
  const T* x;         // [rows, k]
  const T* w;         // [8, k]
  float* y;           // [rows, 8]
  T* rounded;         // [rows, 8] y
  int32_t* stored;    // [1] += rows
  uint32_t* largest;  // [1] the bits of the largest of `rounded` in f32, if larger
  int32_t rows;
  int32_t k;  // a multiple of 8
};

extern const Kernel kExampleBf16;  // ExampleParams<Bf16>
extern const Kernel kExampleF16;   // ExampleParams<F16>

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_EXAMPLE_KERNEL_H_
