// What only a CudaDevice has, beside the contract of every Device (device_contract_test.cc).
#include <cuda_runtime_api.h>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda_device.h"
#include "tests/support/device_kernels.h"

namespace chorus::kernels {
namespace {

class CudaDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = CudaDevice::Open("auto");
    if (opened.status().code() == absl::StatusCode::kNotFound) GTEST_SKIP() << opened.status();
    ASSERT_TRUE(opened.ok()) << opened.status();
    device_ = *std::move(opened);
  }

  std::unique_ptr<CudaDevice> device_;
};

TEST_F(CudaDeviceTest, ChoiceIsOneLineThatNamesTheGpu) {
  EXPECT_TRUE(absl::StrContains(device_->choice(), device_->info().name)) << device_->choice();
  EXPECT_TRUE(absl::StrContains(device_->choice(), "GPU-")) << device_->choice();
  EXPECT_FALSE(absl::StrContains(device_->choice(), "\n"));
  EXPECT_TRUE(CudaDevice::Open("cuda:0").ok());
  EXPECT_EQ(CudaDevice::Open("cuda:999").status().code(), absl::StatusCode::kNotFound);
  int current = -1;
  ASSERT_EQ(cudaGetDevice(&current), cudaSuccess);
  EXPECT_EQ(current, device_->ordinal());
}

TEST_F(CudaDeviceTest, StreamsHaveTwoPrioritiesAndDoNotWaitForTheDefaultStream) {
  const auto normal = device_->NewStream(Device::Priority::kNormal);
  const auto high = device_->NewStream(Device::Priority::kHigh);
  ASSERT_TRUE(normal.ok() && high.ok());
  int priorities[2];
  ASSERT_EQ(cudaStreamGetPriority(CudaDevice::Native(normal->get()), &priorities[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamGetPriority(CudaDevice::Native(high->get()), &priorities[1]), cudaSuccess);
  EXPECT_LT(priorities[1], priorities[0]);  // CUDA's smaller numbers come first
  unsigned flags = 0;
  ASSERT_EQ(cudaStreamGetFlags(CudaDevice::Native(high->get()), &flags), cudaSuccess);
  EXPECT_EQ(flags, unsigned{cudaStreamNonBlocking});
}

TEST_F(CudaDeviceTest, LaunchesOfLibrariesAreCheckedAndCounted) {
  const auto stream = device_->NewStream(Device::Priority::kNormal);
  ASSERT_TRUE(stream.ok());
  EXPECT_TRUE(CudaDevice::LaunchStatus("MatMul", stream->get()).ok());
  EXPECT_EQ(device_->counters().launches, 1);
  // An error that a library left behind: harmless to the device, and told once.
  void* nowhere = nullptr;
  ASSERT_NE(cudaMalloc(&nowhere, ~size_t{0} >> 1), cudaSuccess);
  const absl::Status status = CudaDevice::LaunchStatus("MatMul", stream->get());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "MatMul")) << status;
  EXPECT_TRUE(CudaDevice::LaunchStatus("MatMul", stream->get()).ok());
  EXPECT_EQ(device_->counters().launches, 2);
}

TEST_F(CudaDeviceTest, PreparedKernelsFitAsOftenAsTheyWerePromisedTo) {
  for (const Kernel* kernel : {&kTestScramble, &kTestSharedSum}) {
    ASSERT_TRUE(device_->Prepare(*kernel, 0).ok());
    int blocks = 0;
    ASSERT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel->cuda_entry,
                                                            kernel->threads, 0),
              cudaSuccess);
    EXPECT_GE(blocks, kernel->min_blocks) << kernel->name;
  }
}

}  // namespace
}  // namespace chorus::kernels
