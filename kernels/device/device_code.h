// What kernel bodies are written with: they compile with nvcc for a GPU and with g++ for the SIMT
// executor of the tests (kernels/DESIGN.md). Bodies name no CUDA built-in; all of that is in Arch.
#ifndef CHORUS_KERNELS_DEVICE_DEVICE_CODE_H_
#define CHORUS_KERNELS_DEVICE_DEVICE_CODE_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define CHORUS_DEVICE __device__ __forceinline__
#define CHORUS_HOST_DEVICE __host__ __device__ __forceinline__
#define CHORUS_UNROLL _Pragma("unroll")
#define CHORUS_NO_UNROLL _Pragma("unroll 1")
#else
#define CHORUS_DEVICE inline
#define CHORUS_HOST_DEVICE inline
#define CHORUS_UNROLL
#define CHORUS_NO_UNROLL
#endif

// What the host has checked already: in debug builds a broken promise stops the kernel. The SIMT
// executor needs none, since its spans know their ends.
#if defined(__CUDACC__) && !defined(NDEBUG)
#define CHORUS_DEVICE_DCHECK(condition) ((condition) ? static_cast<void>(0) : __trap())
#else
#define CHORUS_DEVICE_DCHECK(condition) static_cast<void>(0)
#endif

namespace chorus::kernels {

// Registers that move together: one access of 8 or 16 bytes.
struct alignas(8) F2 {
  float x, y;
};
struct alignas(8) U2 {
  uint32_t x, y;
};
struct alignas(16) F4 {
  float x, y, z, w;
};
struct alignas(16) U4 {
  uint32_t x, y, z, w;
};

constexpr int kWarpThreads = 32;

// The only place in device code that multiplies by a page stride: byte `offset` of `cell`.
CHORUS_HOST_DEVICE int64_t PageAddress(int64_t cell, int64_t cell_bytes, int64_t offset) {
  return cell * cell_bytes + offset;
}

// std::min and std::max are host functions to nvcc.
template <class T>
CHORUS_HOST_DEVICE constexpr T Min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
CHORUS_HOST_DEVICE constexpr T Max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
CHORUS_HOST_DEVICE constexpr T DivideUp(T a, T b) {
  return (a + b - 1) / b;
}

CHORUS_HOST_DEVICE int PopCount(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __popc(bits);
#else
  return __builtin_popcount(bits);
#endif
}

// The places of the lowest and the highest bit. REQUIRES: bits != 0.
CHORUS_HOST_DEVICE int FirstBit(uint32_t bits) { return PopCount((bits & (0u - bits)) - 1); }
CHORUS_HOST_DEVICE int LastBit(uint32_t bits) {
  for (int shift = 1; shift < 32; shift *= 2) bits |= bits >> shift;
  return PopCount(bits) - 1;
}

// a · b + c, rounded once. Everything else is rounded by itself: our kernels are built so that no
// compiler fuses what the code does not.
CHORUS_HOST_DEVICE float Fma(float a, float b, float c) { return fmaf(a, b, c); }
CHORUS_HOST_DEVICE double Fma(double a, double b, double c) { return fma(a, b, c); }

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_DEVICE_CODE_H_
