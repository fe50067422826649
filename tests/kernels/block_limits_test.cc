#include "kernels/device/block_limits.h"

#include "gtest/gtest.h"

namespace chorus::kernels {
namespace {

constexpr int32_t kHopper = 227 << 10;
constexpr int32_t kAmpere = 163 << 10;
constexpr int64_t kReserved = 1 << 10;

absl::Status Check(int32_t compute_capability, int32_t shared_bytes, int64_t code_bytes) {
  static const Kernel kernel = {"kOfTheTest", 128, 1, 8, nullptr, nullptr};
  return CheckBlockShared(kernel, shared_bytes, code_bytes, kReserved,
                          {.name = "a GPU",
                           .compute_capability = compute_capability,
                           .max_block_shared_bytes = compute_capability >= 90 ? kHopper : kAmpere});
}

TEST(BlockLimitsTest, WhatTheSystemKeepsIsCountedOnlyFrom90On) {
  EXPECT_TRUE(Check(90, kHopper, kReserved).ok());  // nothing of the code's own
  EXPECT_TRUE(Check(90, kHopper - 16, kReserved + 16).ok());
  EXPECT_TRUE(Check(80, kAmpere, 0).ok());
  EXPECT_TRUE(Check(80, kAmpere - 1024, kReserved).ok());  // all of it the code's own
}

TEST(BlockLimitsTest, AByteMoreIsRefusedByItsNumber) {
  EXPECT_EQ(Check(90, kHopper, kReserved + 1),
            absl::FailedPreconditionError(
                "kOfTheTest: needs 232449 bytes of shared memory a block, a GPU has 232448"));
  EXPECT_EQ(Check(80, kAmpere, 1),
            absl::FailedPreconditionError(
                "kOfTheTest: needs 166913 bytes of shared memory a block, a GPU has 166912"));
  EXPECT_FALSE(Check(90, kHopper + 1, 0).ok());
}

}  // namespace
}  // namespace chorus::kernels
