// Division of 32-bit numbers by one that the host knows, under the name that FlashInfer's headers
// look for: their own rests on a CUDA core library newer than that of CUDA 13.0. Include it first.
//
// Granlund and Montgomery, "Division by Invariant Integers using Multiplication" (1994),
// figure 4.1: exact for every n and every d > 0.
#ifndef CHORUS_KERNELS_ATTENTION_FAST_DIVISION_CUH_
#define CHORUS_KERNELS_ATTENTION_FAST_DIVISION_CUH_

#include <cstdint>

#define FLASHINFER_FASTDIV_CUH_  // the guard of the header that this one stands for

namespace flashinfer {

class uint_fastdiv {
 public:
  __host__ __device__ uint_fastdiv() {}
  __host__ uint_fastdiv(uint32_t divisor) : divisor_(divisor) {
    uint32_t log = 0;
    while (log < 32 && (uint64_t{1} << log) < divisor) ++log;
    const uint64_t excess = (uint64_t{1} << log) - divisor;
    multiplier_ = divisor == 0 ? 0 : static_cast<uint32_t>((excess << 32) / divisor + 1);
    first_shift_ = log < 1 ? log : 1;
    second_shift_ = log - first_shift_;
  }

  __host__ __device__ __forceinline__ operator unsigned int() const { return divisor_; }

  __host__ __device__ __forceinline__ void divmod(uint32_t n, uint32_t& quotient,
                                                  uint32_t& remainder) const {
#if defined(__CUDA_ARCH__)
    const uint32_t high = __umulhi(multiplier_, n);
#else
    const auto high = static_cast<uint32_t>((uint64_t{multiplier_} * n) >> 32);
#endif
    quotient = (high + ((n - high) >> first_shift_)) >> second_shift_;
    remainder = n - quotient * divisor_;
  }

 private:
  uint32_t divisor_ = 0;
  uint32_t multiplier_ = 0;
  uint32_t first_shift_ = 0;
  uint32_t second_shift_ = 0;
};

__host__ __device__ __forceinline__ uint32_t operator/(uint32_t n, const uint_fastdiv& divisor) {
  uint32_t quotient, remainder;
  divisor.divmod(n, quotient, remainder);
  return quotient;
}

__host__ __device__ __forceinline__ uint32_t operator%(uint32_t n, const uint_fastdiv& divisor) {
  uint32_t quotient, remainder;
  divisor.divmod(n, quotient, remainder);
  return remainder;
}

}  // namespace flashinfer

#endif  // CHORUS_KERNELS_ATTENTION_FAST_DIVISION_CUH_
