// Kernel: what a launch needs to know of a kernel, whoever compiled it. A kernel source ends with
//
//   CHORUS_KERNEL(kLoraShrinkBf16, LoraShrinkParams, 128, 4, LoraShrinkBody<Bf16>(arch, params))
//
// and its header declares `extern const Kernel kLoraShrinkBf16;` beside the struct
// LoraShrinkParams, which holds pointers and counts only, so that it has one layout for both
// compilers. CHORUS_CLUSTER_KERNEL takes the blocks of a cluster before the body.
#ifndef CHORUS_KERNELS_DEVICE_KERNEL_H_
#define CHORUS_KERNELS_DEVICE_KERNEL_H_

#include <cstdint>

namespace chorus::kernels {

class SimtBlock;  // tests/simt: one thread block on fibers

struct Kernel {
  const char* name;
  int32_t threads;     // of a block, a multiple of 32
  int32_t min_blocks;  // that fit on a multiprocessor at once, as the compiler was told
  int32_t params_bytes;
  const void* cuda_entry;                                    // null unless nvcc compiled it
  void (*simt_entry)(SimtBlock& block, const void* params);  // null unless the tests did
  int32_t cluster_blocks = 1;  // above 1: launched in clusters of so many blocks, 9.0 and newer
};

// When a launch may begin.
//
// kEarly asks that it need not wait for the end of the launch before, where compute capability 9.0
// allows it and that launch, of a kernel of ours, is the last that the stream was asked for; else
// it is as kInOrder. Then a block may begin once every block of that kernel has called LetNextBegin
// or is done, and its WaitForPrior returns when all of it is done. The rule for a kernel that is
// launched so:
//   * every thread of block 0 calls WaitForPrior, so that its end is the end of all before it; a
//     block that touches nothing of theirs may leave without, and so makes room;
//   * before WaitForPrior it neither touches what the launch before writes nor writes what that
//     launch touches; what lies further back is done;
//   * LetNextBegin comes behind WaitForPrior: else what lies two launches back would not be done.
// The kernel before needs nothing but the third, and whoever comes after nothing at all.
enum class LaunchBegin : uint8_t { kInOrder, kEarly };

}  // namespace chorus::kernels

#if defined(__CUDACC__)
#define CHORUS_CLUSTER_KERNEL(name, Params, threads, min_blocks, cluster_blocks, ...) \
  __global__ void __launch_bounds__(threads, min_blocks)                              \
      name##Entry(const __grid_constant__ Params params) {                            \
    CudaArch arch;                                                                    \
    __VA_ARGS__;                                                                      \
  }                                                                                   \
  const Kernel name = {#name,                                                         \
                       threads,                                                       \
                       min_blocks,                                                    \
                       sizeof(Params),                                                \
                       reinterpret_cast<const void*>(&name##Entry),                   \
                       nullptr,                                                       \
                       cluster_blocks};
#else
#define CHORUS_CLUSTER_KERNEL(name, Params, threads, min_blocks, cluster_blocks, ...) \
  static void name##Entry(SimtBlock& block, const void* params_data) {                \
    SimtArch arch(block);                                                             \
    const Params& params = *static_cast<const Params*>(params_data);                  \
    __VA_ARGS__;                                                                      \
  }                                                                                   \
  const Kernel name = {#name,   threads,      min_blocks,    sizeof(Params),          \
                       nullptr, &name##Entry, cluster_blocks};
#endif
#define CHORUS_KERNEL(name, Params, threads, min_blocks, ...) \
  CHORUS_CLUSTER_KERNEL(name, Params, threads, min_blocks, 1, __VA_ARGS__)

#endif  // CHORUS_KERNELS_DEVICE_KERNEL_H_
