#include "kernels/device/cpu_features.h"

#include "absl/strings/str_cat.h"

namespace chorus::kernels {

bool CpuHasBf16() {
#if defined(__x86_64__)
  // Also asks whether the system saves the wide registers.
  static const bool has =
      __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return has;
#else
  return false;
#endif
}

absl::Status RequireCpuBf16(absl::string_view op) {
  if (CpuHasBf16()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      op, ": bf16 needs a processor with AVX-512 BF16, which this one is not; use f32"));
}

}  // namespace chorus::kernels
