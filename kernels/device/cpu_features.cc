#include "kernels/device/cpu_features.h"

#include <atomic>

namespace chorus::kernels {
namespace {

std::atomic<bool> use_bf16{true};

}  // namespace

bool CpuHasBf16() {
#if defined(__x86_64__)
  // Also asks whether the system saves the wide registers.
  static const bool has =
      __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return has && use_bf16.load(std::memory_order_relaxed);
#else
  return false;
#endif
}

void UseCpuBf16ForTest(bool use) { use_bf16.store(use, std::memory_order_relaxed); }

}  // namespace chorus::kernels
