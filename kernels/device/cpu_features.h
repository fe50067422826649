// What the processor can do beyond what Highway dispatches on.
#ifndef CHORUS_KERNELS_DEVICE_CPU_FEATURES_H_
#define CHORUS_KERNELS_DEVICE_CPU_FEATURES_H_

// Functions compiled with this attribute may only be called where CpuHasBf16().
#define CHORUS_TARGET_BF16 \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")))

namespace chorus::kernels {

// Whether this processor has AVX-512 BF16 (vdpbf16ps) and the system lets us use it. Without it
// bf16 is widened to f32 lanes: read at the same rate, computed at f32's.
bool CpuHasBf16();

// For tests: until it is called with true again, CpuHasBf16 is false everywhere.
void UseCpuBf16ForTest(bool use);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CPU_FEATURES_H_
