// A CUDA build on a machine whose GPU is hidden or missing: opening it is a Status, not a crash.
#include <cstdlib>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda_device.h"

namespace chorus::kernels {
namespace {

// The CUDA runtime reads its environment at the first call of the process.
void HideGpus() { setenv("CUDA_VISIBLE_DEVICES", "", /*overwrite=*/1); }

TEST(CudaOpenTest, WithoutGpuEverySpecIsNotFoundAndSaysWhy) {
  HideGpus();
  for (const char* spec : {"auto", "cuda", "cuda:0", "cuda:3"}) {
    const auto device = CudaDevice::Open(spec);
    ASSERT_FALSE(device.ok());
    EXPECT_EQ(device.status().code(), absl::StatusCode::kNotFound) << device.status();
    EXPECT_TRUE(absl::StrContains(device.status().message(), "no CUDA driver") ||
                absl::StrContains(device.status().message(), "hides every GPU"))
        << device.status();
  }
}

TEST(CudaOpenTest, MalformedSpecIsInvalid) {
  HideGpus();
  const auto device = CudaDevice::Open("cuda:one");
  EXPECT_EQ(device.status().code(), absl::StatusCode::kInvalidArgument) << device.status();
}

}  // namespace
}  // namespace chorus::kernels
