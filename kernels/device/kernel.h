// Kernel: what a launch needs to know of a kernel, whoever compiled it. A kernel source ends with
//
//   CHORUS_KERNEL(kLoraShrinkBf16, LoraShrinkParams, 128, 4, LoraShrinkBody<Bf16>(arch, params))
//
// and its header declares `extern const Kernel kLoraShrinkBf16;` beside the struct
// LoraShrinkParams, which holds pointers and counts only, so that it has one layout for both
// compilers.
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
};

}  // namespace chorus::kernels

#if defined(__CUDACC__)
#define CHORUS_KERNEL(name, Params, threads, min_blocks, ...)                                   \
  __global__ void __launch_bounds__(threads, min_blocks)                                        \
      name##Entry(const __grid_constant__ Params params) {                                      \
    CudaArch arch;                                                                              \
    __VA_ARGS__;                                                                                \
  }                                                                                             \
  const Kernel name = {                                                                         \
      #name,  threads, min_blocks, sizeof(Params), reinterpret_cast<const void*>(&name##Entry), \
      nullptr};
#else
#define CHORUS_KERNEL(name, Params, threads, min_blocks, ...)          \
  static void name##Entry(SimtBlock& block, const void* params_data) { \
    SimtArch arch(block);                                              \
    const Params& params = *static_cast<const Params*>(params_data);   \
    __VA_ARGS__;                                                       \
  }                                                                    \
  const Kernel name = {#name, threads, min_blocks, sizeof(Params), nullptr, &name##Entry};
#endif

#endif  // CHORUS_KERNELS_DEVICE_KERNEL_H_
