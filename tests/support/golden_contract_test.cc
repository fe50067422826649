// Tiny models of every architecture, base and adapters, through the runner of devices, against
// transformers and PEFT. Everything rounds where the CPU rounds in bf16, so what is allowed is what
// is allowed there (tests/engine/model/golden_test.cc).
#include "tests/support/golden_contract.h"

#include "gtest/gtest.h"
#include "tests/engine/model/golden_check.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

// bf16: 0.065 was measured, as on the CPU. f16 has three bits more: an eighth; 0.008 was measured,
// with weights rounded too, which the f32 goldens have as they are.
GoldenTolerance ToleranceOf(kernels::DType dtype) {
  if (dtype == kernels::DType::kF16) return {.logit = 0.0125, .greedy_share = 0.4};
  return {.logit = 0.1, .rms_share = 1.0, .greedy_share = 0.4};
}

class DeviceGoldenTest : public testing::TestWithParam<GoldenDevice> {};

TEST_P(DeviceGoldenTest, AllTogetherAsTransformers) {
  const GoldenDevice& param = GetParam();
  const Golden golden(param.model, param.heads);
  const TempDir dir;
  golden.WriteModel(dir.path());
  auto host = DeviceBackend::Open(dir.path(), {.dtype = param.dtype, .num_pages = 256}, param.open,
                                  {.max_rows = 1024, .max_graph_rows = 16, .lora = param.lora});
  if (host.status().code() == absl::StatusCode::kNotFound) {
    GTEST_SKIP() << host.status().message();
  }
  GoldenCheck check(golden, std::move(host), ToleranceOf(param.dtype));
  ASSERT_TRUE(check.ok());
  check.ExpectAllTogether();
}

INSTANTIATE_TEST_SUITE_P(Device, DeviceGoldenTest, testing::ValuesIn(GoldenDevices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chorus::test
