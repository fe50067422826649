// What --device comes to, whatever the machine says of its GPUs. How a GPU can be unusable, and the
// words for it, are tested in tests/kernels (cuda_choice_test).
#include "server/device/serving_device.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda_choice.h"
#include "server/device/gpu.h"

namespace chorus::test {
namespace {

using server::ServingDevice;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::Status Chosen(const std::string& spec, const kernels::CudaFacts& facts) {
  return kernels::ChooseCudaGpu(spec, facts).status();
}

kernels::CudaFacts NoGpu() { return {.problem = kernels::CudaProblem::kNoDevice}; }

kernels::CudaFacts OldDriver() {
  return {.problem = kernels::CudaProblem::kOldDriver,
          .driver_version = 12040,
          .runtime_version = 13000,
          .kernel_driver = kernels::CudaFacts::KernelDriver::kPresent};
}

TEST(ServingDeviceTest, AutoIsTheCpuWhereThereIsNoGpu) {
  const auto device = server::WithoutGpu("auto", Chosen("auto", NoGpu()));
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_TRUE(device->is_cpu());
  EXPECT_EQ(device->name, "cpu");
  EXPECT_EQ(device->why, "no GPU was found: this machine has no CUDA GPU");
}

TEST(ServingDeviceTest, AGpuThatCannotBeUsedIsNeverTheCpuInSilence) {
  for (const char* spec : {"auto", "cuda", "cuda:0"}) {
    const absl::Status status = server::WithoutGpu(spec, Chosen(spec, OldDriver())).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(status.message(), std::string("--device=") + spec +
                                    ": there is a GPU, but it cannot be used: the driver is for "
                                    "CUDA 12.4; needed: a driver for CUDA 13.0 or newer");
  }
}

TEST(ServingDeviceTest, AGpuThatWasAskedForMustBeThere) {
  const absl::Status status = server::WithoutGpu("cuda:1", Chosen("cuda:1", NoGpu())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "--device=cuda:1: this machine has no CUDA GPU");
}

TEST(ServingDeviceTest, ABuildWithoutCudaSaysSo) {
  const absl::Status none = absl::UnimplementedError("this chorusd was built without CUDA");
  const auto device = server::WithoutGpu("auto", none);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->why, "this chorusd was built without CUDA");
  EXPECT_EQ(server::WithoutGpu("cuda", none).status().message(),
            "--device=cuda: this chorusd was built without CUDA");
}

TEST(ServingDeviceTest, ThisMachineHasWhatItHas) {
  const auto cpu = ServingDevice::Open("cpu");
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  EXPECT_TRUE(cpu->is_cpu());
  EXPECT_EQ(cpu->why, "as asked for");
  const auto found = ServingDevice::Open("cuda");
  const auto chosen = ServingDevice::Open("auto");
  if (found.ok()) {
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_FALSE(chosen->is_cpu());
    EXPECT_THAT(chosen->name, StartsWith("cuda:"));
    EXPECT_THAT(chosen->why, HasSubstr(chosen->device->info().name));
    return;
  }
  EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(found.status().message()), StartsWith("--device=cuda: "));
  if (chosen.ok()) {
    EXPECT_TRUE(chosen->is_cpu());
  } else {
    EXPECT_THAT(chosen.status().message(), HasSubstr("there is a GPU, but it cannot be used"));
  }
}

}  // namespace
}  // namespace chorus::test
