// The ways in which an op of the CPU backend computes: each type, and bf16 also as processors
// without AVX-512 BF16 do.
#ifndef CHORUS_TESTS_SUPPORT_CPU_WAY_H_
#define CHORUS_TESTS_SUPPORT_CPU_WAY_H_

#include <string>

#include "gtest/gtest.h"
#include "kernels/device/cpu_features.h"
#include "kernels/device/dtype.h"

namespace chorus::test {

struct CpuWay {
  kernels::DType dtype = kernels::DType::kF32;
  bool avx512_bf16 = false;
};

inline auto AllCpuWays() {
  using kernels::DType;
  return testing::Values(CpuWay{DType::kF32}, CpuWay{DType::kBf16}, CpuWay{DType::kBf16, true});
}

inline std::string NameOfCpuWay(const testing::TestParamInfo<CpuWay>& info) {
  if (info.param.dtype == kernels::DType::kF32) return "f32";
  return info.param.avx512_bf16 ? "bf16_avx512" : "bf16";
}

class CpuWayTest : public testing::TestWithParam<CpuWay> {
 protected:
  void SetUp() override {
    if (GetParam().avx512_bf16 && !kernels::CpuHasBf16()) GTEST_SKIP() << "no AVX-512 BF16";
    kernels::UseCpuBf16ForTest(GetParam().avx512_bf16);
  }
  void TearDown() override { kernels::UseCpuBf16ForTest(true); }

  kernels::DType dtype() const { return GetParam().dtype; }
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_CPU_WAY_H_
