// The type that a model computes in, by --dtype, its files and where it runs.
#include "gtest/gtest.h"
#include "server/model/serving_model.h"
#include "tests/support/serving_dir.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using kernels::DType;
using server::ComputeType;
using server::ServingModel;

class ServingTypeTest : public testing::Test {
 protected:
  ServingTypeTest() { WriteServingDir(dir_.path()); }  // an f32 model

  absl::StatusOr<DType> Type(ComputeType dtype, bool on_gpu) {
    server::ServerConfig config;
    config.model = dir_.path();
    config.dtype = dtype;
    const auto model = ServingModel::Load(config, on_gpu, engine::Clock::Real());
    if (!model.ok()) return model.status();
    return model->dtype;
  }

  const TempDir dir_;
};

TEST_F(ServingTypeTest, AGpuComputesIn16Bits) {
  EXPECT_EQ(*Type(ComputeType::kAuto, true), DType::kBf16);
  EXPECT_EQ(*Type(ComputeType::kBf16, true), DType::kBf16);
  EXPECT_EQ(*Type(ComputeType::kF16, true), DType::kF16);
  EXPECT_EQ(Type(ComputeType::kF32, true).status().message(),
            "--dtype: expected auto, bf16 or f16 on a GPU, got f32");
}

TEST_F(ServingTypeTest, ACpuHasNoF16) {
  EXPECT_EQ(*Type(ComputeType::kAuto, false), DType::kF32);
  EXPECT_EQ(*Type(ComputeType::kF32, false), DType::kF32);
  EXPECT_EQ(*Type(ComputeType::kBf16, false), DType::kBf16);
  EXPECT_EQ(Type(ComputeType::kF16, false).status().message(),
            "--dtype: expected auto, bf16 or f32 on the CPU, got f16");
}

}  // namespace
}  // namespace chorus::test
