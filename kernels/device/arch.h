// The Arch that a kernel source is compiled for: the GPU under nvcc, the SIMT executor under g++
// (only tests compile a kernel source so).
#ifndef CHORUS_KERNELS_DEVICE_ARCH_H_
#define CHORUS_KERNELS_DEVICE_ARCH_H_

#if defined(__CUDACC__)
#include "kernels/device/arch_cuda.cuh"
#else
#include "tests/simt/arch_simt.h"
#endif

#endif  // CHORUS_KERNELS_DEVICE_ARCH_H_
