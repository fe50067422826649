// The ring in every order, and without each of its sites.
#include "tests/simt/bulk_ring.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/mutation.h"
#include "tests/simt/simt_launch.h"
#include "tests/support/counter_hash.h"

namespace chorus::kernels {
namespace {

std::string RunRing(int steps, int blocks, const SimtOptions& options) {
  std::vector<int32_t> in;
  for (const float value : test::CounterValues(11, steps * kBulkRingStageElements)) {
    in.push_back(static_cast<int32_t>(value * 1000.0f));
  }
  std::vector<int32_t> out(static_cast<size_t>(blocks * kBulkRingThreads));
  SimtMemory memory;
  memory.Add("in", in.data(), steps * kBulkRingStageElements, SimtUse::kReadOnly);
  memory.Add("out", out.data(), blocks * kBulkRingThreads, SimtUse::kWriteOnce);
  memory.PoisonOutputs();
  const BulkRingParams params{in.data(), out.data(), steps};
  const std::string failure =
      RunSimt(kBulkRing, blocks, kBulkRingSharedBytes, &params, memory, options).failure;
  if (!failure.empty()) return failure;
  for (int i = 0; i < blocks * kBulkRingThreads; ++i) {
    int32_t want = 0;
    for (int step = 0; step < steps; ++step) {
      const int element = (i % kBulkRingThreads + step) % kBulkRingStageElements;
      want += (step + 1) * in[static_cast<size_t>(step * kBulkRingStageElements + element)];
    }
    if (out[static_cast<size_t>(i)] != want) return "out[" + std::to_string(i) + "] is wrong";
  }
  return "";
}

// Fewer steps than stages, as many, and more than two rounds, so that a parity comes again.
std::string RunRings(const SimtOptions& options) {
  for (const int steps : {1, 3, 4, 11}) {
    const std::string failure = RunRing(steps, 2, options);
    if (!failure.empty()) return failure + " (" + std::to_string(steps) + " steps)";
  }
  return "";
}

TEST(BulkRingTest, IsRightInEveryOrder) {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    for (SimtOptions options : EveryOrder(seed)) {
      EXPECT_EQ(RunRings(options), "") << Name(options);
      options.shadow = false;
      EXPECT_EQ(RunRings(options), "") << Name(options);
    }
  }
}

TEST(BulkRingTest, EverySiteIsMissed) {
  const MutationResult result = MutateEverySite(&RunRings);
  EXPECT_EQ(result.clean_failure, "");
  EXPECT_THAT(result.survivors, ::testing::IsEmpty());
  // BarFence, Sync, Guard; BarWait, Sync, Guard.
  EXPECT_EQ(result.caught.size(), 6u);
  for (const std::string& caught : result.caught) std::printf("  %s\n", caught.c_str());
}

}  // namespace
}  // namespace chorus::kernels
