// CudaArch: what a kernel body may ask of the GPU. All PTX of our kernels is here and in the three
// headers that this one includes; the SIMT executor answers the same calls on the host
// (tests/simt/arch_simt.h), and checks what a GPU would not.
//
// Every collective (Sync, SyncWarp, Shfl…, Mma…) is of the full block or the full warp. Their last
// parameters name the place of the call for the executor; they vanish here.
#ifndef CHORUS_KERNELS_DEVICE_ARCH_CUDA_CUH_
#define CHORUS_KERNELS_DEVICE_ARCH_CUDA_CUH_

#include "kernels/device/cuda_bulk_copies.cuh"
#include "kernels/device/cuda_clusters.cuh"
#include "kernels/device/cuda_span.cuh"
#include "kernels/device/device_code.h"
#include "kernels/device/dtype.h"

#define CHORUS_SITE int = __builtin_LINE(), const char* = __builtin_FILE()

namespace chorus::kernels {

class CudaArch : public CudaBulkCopies, public CudaClusters {
 public:
  CHORUS_DEVICE int Thread() const { return static_cast<int>(threadIdx.x); }
  CHORUS_DEVICE int Lane() const { return static_cast<int>(threadIdx.x) % kWarpThreads; }
  CHORUS_DEVICE int Warp() const { return static_cast<int>(threadIdx.x) / kWarpThreads; }
  CHORUS_DEVICE int Threads() const { return static_cast<int>(blockDim.x); }
  CHORUS_DEVICE int Block() const { return static_cast<int>(blockIdx.x); }
  CHORUS_DEVICE int Grid() const { return static_cast<int>(gridDim.x); }

  CHORUS_DEVICE void Sync(CHORUS_SITE) { __syncthreads(); }
  CHORUS_DEVICE void SyncWarp(CHORUS_SITE) { __syncwarp(); }
  // `condition` as it is: a bound that the mutation test takes away. One a line.
  CHORUS_DEVICE bool Guard(bool condition, CHORUS_SITE) { return condition; }

  // Until the kernel before in the stream is done; at once unless this one was launched to begin
  // earlier. Every block comes by, also one without work: else this kernel could end before that
  // one.
  CHORUS_DEVICE void WaitForPrior() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  }
  // Lets the next kernel begin, if it was launched so. Behind WaitForPrior, so that whatever is two
  // kernels back is done for it.
  CHORUS_DEVICE void LetNextBegin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
  }

  CHORUS_DEVICE uint32_t Shfl(uint32_t value, int lane, CHORUS_SITE) {
    return __shfl_sync(~0u, value, lane);
  }
  CHORUS_DEVICE float ShflXor(float value, int mask, CHORUS_SITE) {
    return __shfl_xor_sync(~0u, value, mask);
  }
  CHORUS_DEVICE uint32_t Ballot(bool value, CHORUS_SITE) { return __ballot_sync(~0u, value); }

  // `count` elements of global memory.
  template <class T>
  CHORUS_DEVICE CudaSpan<T> Global(T* data, int64_t /*count*/) const {
    return CudaSpan<T>(data);
  }

  // d += a · b of one warp: m16n8k16 and m16n8k8, f32 sums of 16-bit products. Fragments as in the
  // PTX manual, "Matrix fragments for mma.m16n8k16 with floating point type".
  CHORUS_DEVICE void Mma16816(Bf16, float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                              uint32_t a3, uint32_t b0, uint32_t b1, CHORUS_SITE) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
  CHORUS_DEVICE void Mma16816(F16, float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                              uint32_t a3, uint32_t b0, uint32_t b1, CHORUS_SITE) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
  CHORUS_DEVICE void Mma1688(Bf16, float (&d)[4], uint32_t a0, uint32_t a1, uint32_t b0,
                             CHORUS_SITE) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(b0));
  }
  CHORUS_DEVICE void Mma1688(F16, float (&d)[4], uint32_t a0, uint32_t a1, uint32_t b0,
                             CHORUS_SITE) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(b0));
  }

  // Two values as one register, `low` in the low half, rounded to nearest even.
  CHORUS_DEVICE uint32_t Pack(Bf16, float low, float high) const {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
  }
  CHORUS_DEVICE uint32_t Pack(F16, float low, float high) const {
    uint32_t packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
  }
  CHORUS_DEVICE F2 Unpack(Bf16, uint32_t packed) const {
    return {__uint_as_float(packed << 16), __uint_as_float(packed & 0xffff0000u)};
  }
  CHORUS_DEVICE F2 Unpack(F16, uint32_t packed) const {
    F2 values;
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, "
        "high;}"
        : "=f"(values.x), "=f"(values.y)
        : "r"(packed));
    return values;
  }

  CHORUS_DEVICE float Exp(float x) const { return expf(x); }
  CHORUS_DEVICE float Log(float x) const { return logf(x); }
  CHORUS_DEVICE float Rsqrt(float x) const { return rsqrtf(x); }

  // Integer atomics of one address; the value before comes back. Nothing else is ordered by them.
  CHORUS_DEVICE int32_t AtomicAdd(const CudaSpan<int32_t>& to, int64_t i, int32_t value,
                                  CHORUS_SITE) {
    return atomicAdd(to.data() + i, value);
  }
  CHORUS_DEVICE uint32_t AtomicMax(const CudaSpan<uint32_t>& to, int64_t i, uint32_t value,
                                   CHORUS_SITE) {
    return atomicMax(to.data() + i, value);
  }

  // 16 bytes from global to shared memory, done at a CopyWait: groups are closed by CopyCommit, and
  // CopyWait(n) leaves at most this thread's n newest groups under way. `n` is a literal.
  template <class To, class From>
  CHORUS_DEVICE void CopyAsync16(const CudaSpan<To>& to, int64_t i, const CudaSpan<From>& from,
                                 int64_t j) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to.SharedAddress(i)),
                 "l"(from.data() + j)
                 : "memory");
  }
  CHORUS_DEVICE void CopyCommit(CHORUS_SITE) {
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  CHORUS_DEVICE void CopyWait(int n, CHORUS_SITE) {
    switch (n) {
      case 0:
        asm volatile("cp.async.wait_group 0;" ::: "memory");
        break;
      case 1:
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        break;
      case 2:
        asm volatile("cp.async.wait_group 2;" ::: "memory");
        break;
      case 3:
        asm volatile("cp.async.wait_group 3;" ::: "memory");
        break;
      default:
        __trap();
    }
  }
};

// `count` elements from byte `offset` of the block's dynamic shared memory, which is 128-byte
// aligned. A free function, so that bodies need no `template` keyword.
template <class T>
CHORUS_DEVICE CudaSpan<T> Shared(const CudaArch&, int offset, int) {
  extern __shared__ __align__(128) unsigned char chorus_shared[];
  return CudaSpan<T>(reinterpret_cast<T*>(chorus_shared + offset));
}

}  // namespace chorus::kernels

#undef CHORUS_SITE

#endif  // CHORUS_KERNELS_DEVICE_ARCH_CUDA_CUH_
