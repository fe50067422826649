// Tiny models of every architecture, base and adapters, through the runner of devices on the
// simulator, against transformers and PEFT. Everything rounds where the CPU rounds in bf16, so what
// is allowed is what is allowed there (tests/engine/model/golden_test.cc).
#include "gtest/gtest.h"
#include "tests/engine/model/golden_check.h"
#include "tests/simt/sim_backend.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using kernels::DType;
using kernels::SimOrder;

struct Param {
  const char* model;
  SimOrder order;
};

class DeviceGoldenTest : public testing::TestWithParam<Param> {};

TEST_P(DeviceGoldenTest, AllTogetherAsTransformers) {
  const auto [name, order] = GetParam();
  const Golden golden(name);
  const TempDir dir;
  golden.WriteModel(dir.path());
  GoldenCheck check(
      golden,
      SimBackend::Open(dir.path(), {.dtype = DType::kBf16, .num_pages = 256}, {.order = order}, {}),
      {.logit = 0.1, .rms_share = 1.0, .greedy_share = 0.4});
  ASSERT_TRUE(check.ok());
  check.ExpectAllTogether();
}

INSTANTIATE_TEST_SUITE_P(
    Sim, DeviceGoldenTest,
    testing::Values(Param{"llama", SimOrder::kLazy}, Param{"llama_minimal", SimOrder::kRandom},
                    Param{"llama_tied", SimOrder::kTimed}, Param{"llama_biased", SimOrder::kEager},
                    Param{"llama31", SimOrder::kLazy}, Param{"llama_linear", SimOrder::kRandom},
                    Param{"llama_yarn", SimOrder::kTimed}, Param{"mistral", SimOrder::kEager},
                    Param{"qwen2", SimOrder::kLazy}, Param{"qwen2_yarn", SimOrder::kRandom},
                    Param{"qwen3", SimOrder::kTimed}),
    [](const auto& info) { return std::string(info.param.model); });

}  // namespace
}  // namespace chorus::test
