// A kernel that writes where no memory is loses the device. A program of its own: after it nothing
// of the process can use the GPU.
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda_device.h"
#include "tests/support/device_kernels.h"

namespace chorus::kernels {
namespace {

TEST(DeviceLostTest, StickyErrorNamesTheLaunchAndIsReturnedFromThenOn) {
  auto opened = CudaDevice::Open("auto");
  if (opened.status().code() == absl::StatusCode::kNotFound) GTEST_SKIP() << opened.status();
  ASSERT_TRUE(opened.ok()) << opened.status();
  CudaDevice& device = **opened;
  const auto memory = device.Allocate(64);
  const auto stream = device.NewStream(Device::Priority::kNormal);
  const auto event = device.NewEvent();
  ASSERT_TRUE(memory.ok() && stream.ok() && event.ok());

  auto* const nowhere = reinterpret_cast<uint32_t*>(uintptr_t{1} << 20);
  ASSERT_TRUE((*stream)
                  ->Launch(kTestScramble, 1, 0,
                           ScrambleParams{.x = nowhere, .y = nowhere, .count = 8, .rounds = 1})
                  .ok());
  const absl::Status lost = (*stream)->Synchronize();
  ASSERT_EQ(lost.code(), absl::StatusCode::kInternal) << lost;
  EXPECT_TRUE(absl::StrContains(lost.message(), "cudaErrorIllegalAddress")) << lost;
  EXPECT_TRUE(absl::StrContains(lost.message(), "kTestScramble")) << lost;

  EXPECT_EQ((*stream)->Fill(memory->data(), 0, 64), lost);
  EXPECT_EQ((*stream)->Record(event->get()), lost);
  EXPECT_EQ((*event)->Done().status(), lost);
  EXPECT_EQ(device.Allocate(8).status(), lost);
  EXPECT_EQ(device.NewStream(Device::Priority::kHigh).status(), lost);
  EXPECT_EQ(device.Prepare(kTestScramble, 0), lost);
}

}  // namespace
}  // namespace chorus::kernels
