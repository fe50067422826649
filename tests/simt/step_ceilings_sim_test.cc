// What the bench takes a device's ceilings with, on the simulator: its kernels read what they say,
// its memory is random, and it finds the rates that the simulator was given.
#include <numeric>
#include <random>
#include <set>

#include "bench/gpu/probe_kernels.h"
#include "bench/gpu/random_fill.h"
#include "gtest/gtest.h"
#include "tests/simt/step_device_sim.h"

namespace chorus::test {
namespace {

using kernels::DeviceBuffer;
using kernels::SimDevice;

std::vector<std::byte> Download(SimDevice& device, const void* from, int64_t bytes) {
  const auto stream = *device.NewStream(SimDevice::Priority::kNormal);
  const DeviceBuffer pinned = *device.AllocatePinned(bytes);
  EXPECT_TRUE(stream->CopyToHost(pinned.data(), from, bytes).ok());
  EXPECT_TRUE(stream->Synchronize().ok());
  return {pinned.data(), pinned.data() + bytes};
}

// Cells that end within a piece of the kernel, and a list that is longer than the blocks are many.
TEST(ReadCellsTest, ReadsEveryWordOfTheListedCellsOnce) {
  SimDevice device({});
  const auto stream = *device.NewStream(SimDevice::Priority::kNormal);
  for (const int64_t cell_bytes : {int64_t{4096}, int64_t{32768 + 4112}}) {
    constexpr int64_t kCells = 9;
    constexpr int kBlocks = 3;
    const DeviceBuffer memory = *device.Allocate(kCells * cell_bytes);
    const DeviceBuffer list = *device.Allocate(7 * 4);
    const DeviceBuffer sums = *device.Allocate(kBlocks * kernels::kReadCellsThreads * 4);
    const DeviceBuffer pinned = *device.AllocatePinned(kCells * cell_bytes);
    const DeviceBuffer pinned_list = *device.AllocatePinned(7 * 4);
    std::mt19937 random(5);
    for (int64_t i = 0; i < kCells * cell_bytes / 4; ++i) pinned.As<uint32_t>()[i] = random();
    const int32_t cells[] = {8, 0, 3, 3, 5, 1, 7};
    std::copy(std::begin(cells), std::end(cells), pinned_list.As<int32_t>());
    ASSERT_TRUE(stream->CopyToDevice(memory.data(), pinned.data(), kCells * cell_bytes).ok());
    ASSERT_TRUE(stream->CopyToDevice(list.data(), pinned_list.data(), 7 * 4).ok());
    ASSERT_TRUE(stream->Synchronize().ok());
    ASSERT_TRUE(stream
                    ->Launch(kernels::kReadCells, kBlocks, 0,
                             kernels::ReadCellsParams{.base = memory.data(),
                                                      .num_cells = kCells,
                                                      .cell_bytes = cell_bytes,
                                                      .cells = list.As<int32_t>(),
                                                      .count = 7,
                                                      .sums = sums.As<uint32_t>()})
                    .ok());
    ASSERT_TRUE(stream->Synchronize().ok());
    uint32_t want = 0;
    for (const int32_t cell : cells) {
      for (int64_t i = 0; i < cell_bytes / 4; ++i) {
        want ^= pinned.As<uint32_t>()[cell * cell_bytes / 4 + i];
      }
    }
    const auto got = Download(device, sums.data(), kBlocks * kernels::kReadCellsThreads * 4);
    uint32_t sum = 0;
    for (int i = 0; i < kBlocks * kernels::kReadCellsThreads; ++i) {
      sum ^= reinterpret_cast<const uint32_t*>(got.data())[i];
    }
    EXPECT_EQ(sum, want) << cell_bytes;
  }
  EXPECT_TRUE(device.Finish().ok()) << device.Finish();
}

TEST(RandomFillTest, IsFiniteSmallAndElsewhereForAnotherSalt) {
  SimDevice device({.order = kernels::SimOrder::kLazy});
  const int64_t bytes = 40'000;
  auto fill = bench::RandomFill::Create(&device, 5'000, 300);
  ASSERT_TRUE(fill.ok()) << fill.status();
  const DeviceBuffer memory = *device.Allocate(3 * bytes);
  ASSERT_TRUE(fill->Bf16(memory.data(), bytes, 1).ok());
  ASSERT_TRUE(fill->Bf16(memory.data() + bytes, bytes, 2).ok());
  ASSERT_TRUE(fill->Floats(memory.data() + 2 * bytes, 300, 1).ok());
  ASSERT_TRUE(fill->Floats(memory.data() + 2 * bytes + 1200, 300, 0).ok());
  ASSERT_TRUE(fill->Finish().ok());
  const auto got = Download(device, memory.data(), 2 * bytes + 2400);
  const auto* const halves = reinterpret_cast<const kernels::Bf16*>(got.data());
  std::set<uint16_t> values;
  int negative = 0, equal = 0;
  for (int64_t i = 0; i < bytes; ++i) {
    const float value = halves[i].ToFloat();
    ASSERT_LT(std::abs(value), 0.0626f) << i;
    ASSERT_GT(std::abs(value), 0.0038f) << i;
    negative += value < 0 ? 1 : 0;
    values.insert(halves[i].bits);
    if (i < bytes / 2) equal += halves[i].bits == halves[i + bytes / 2].bits ? 1 : 0;
  }
  EXPECT_GT(values.size(), 800u);  // of the 1024 that there are
  EXPECT_NEAR(negative, bytes / 2, bytes / 20);
  EXPECT_LT(equal, bytes / 100);
  const auto* const floats = reinterpret_cast<const float*>(got.data() + 2 * bytes);
  for (int i = 0; i < 300; ++i) {
    EXPECT_NEAR(floats[i], 1.0f, 0.0626f) << i;
    EXPECT_NEAR(floats[300 + i], 0.0f, 0.0626f) << i;
    EXPECT_NE(floats[i], 1.0f);
  }
  EXPECT_TRUE(device.Finish().ok()) << device.Finish();
}

TEST(StepCeilingsTest, AreTheRatesOfTheSimulator) {
  constexpr double kLaunchUs = 7, kCopyUs = 3, kHostBytes = 20'000, kDeviceBytes = 500'000;
  bench::StepDevice device = OpenSimStepDevice({.order = kernels::SimOrder::kTimed,
                                                .launch_us = kLaunchUs,
                                                .copy_us = kCopyUs,
                                                .host_bytes_per_us = kHostBytes,
                                                .device_bytes_per_us = kDeviceBytes});
  auto options = *bench::ParseStepBench({"--shape", "tiny"});
  AdaptToSim(&device, &options);
  auto rig =
      bench::StepRig::Create(device.device.get(), device.ops.get(), options.model, options.rig);
  ASSERT_TRUE(rig.ok()) << rig.status();
  const auto ceilings = bench::MeasureCeilings(rig->get(), options.ceilings);
  ASSERT_TRUE(ceilings.ok()) << ceilings.status();
  const auto read = static_cast<double>(options.ceilings.read_bytes);
  const auto host = static_cast<double>(options.ceilings.host_bytes);
  EXPECT_NEAR(ceilings->read, read / kLaunchUs, 1.0);
  ASSERT_EQ(ceilings->gathers.size(), 1u);  // the other spans are wider than the pool
  EXPECT_NEAR(ceilings->gathers[0].bytes_per_us, read / kLaunchUs, 1.0);
  EXPECT_EQ(ceilings->gathers[0].over_bytes, (*rig)->pool().total_bytes());
  EXPECT_NEAR(ceilings->copy, read / (kCopyUs + read / 2 / kDeviceBytes), 1.0);
  EXPECT_NEAR(ceilings->host_to_device, host / (kCopyUs + host / kHostBytes), 1.0);
  EXPECT_NEAR(ceilings->host_to_device_64k, 65536.0 / (kCopyUs + 65536.0 / kHostBytes), 1.0);
  EXPECT_NEAR(ceilings->launch_us, kLaunchUs, 1e-6);
  // qkv, o, gate_up, down at each batch and at a prompt; logits at each batch.
  EXPECT_EQ(ceilings->linears.size(), 4u * 3 + 2);
  double best = 0.0;
  for (const bench::LinearRate& linear : ceilings->linears) {
    EXPECT_NEAR(linear.us, 5.0, 1e-6) << linear.name;  // of any work that is not a kernel
    best = std::max(best, 2.0 * linear.rows * linear.outputs * linear.inputs / 5.0);
  }
  EXPECT_NEAR(ceilings->rates().flops_per_us, best, 1e-3);
  EXPECT_EQ(ceilings->rates().bytes_per_us, ceilings->read);
  rig->reset();
  EXPECT_TRUE(SimOf(device).Finish().ok()) << SimOf(device).Finish();
}

}  // namespace
}  // namespace chorus::test
