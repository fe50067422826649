// What the processor can do beyond what Highway dispatches on.
#ifndef CHORUS_KERNELS_DEVICE_CPU_FEATURES_H_
#define CHORUS_KERNELS_DEVICE_CPU_FEATURES_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Functions compiled with this attribute may only be called where CpuHasBf16().
#define CHORUS_TARGET_BF16 \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")))

namespace chorus::kernels {

// Whether this processor has AVX-512 BF16 (vdpbf16ps) and the system lets us use it.
bool CpuHasBf16();

// FailedPrecondition naming `op` and the missing feature.
absl::Status RequireCpuBf16(absl::string_view op);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CPU_FEATURES_H_
