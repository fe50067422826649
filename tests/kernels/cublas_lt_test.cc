// cuBLASLt is opened where it is, with every function that we call; elsewhere the Status says where
// it was looked for. Needs no GPU.
#include "kernels/linear/cublas_lt.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::kernels {
namespace {

TEST(CublasLtTest, OpensOrSaysWhereItLooked) {
  const auto lt = CublasLt::Open();
  if (!lt.ok()) {
    EXPECT_EQ(lt.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(lt.status().message()),
                testing::HasSubstr("/usr/local/cuda/lib64/libcublasLt.so.13"));
    GTEST_SKIP() << lt.status().message();
  }
  EXPECT_EQ((*lt)->version() / 10000, 13u);
  EXPECT_TRUE((*lt)->Check(CUBLAS_STATUS_SUCCESS, "x").ok());
  EXPECT_EQ((*lt)->Check(CUBLAS_STATUS_NOT_SUPPORTED, "x").message(),
            "x: CUBLAS_STATUS_NOT_SUPPORTED");
}

}  // namespace
}  // namespace chorus::kernels
