// The example kernel in every order, and the mutation test on it and on kernels that it must see
// through.
#include "tests/simt/mutation.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/example_case.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct RotateParams {
  int32_t* cells;  // [threads, 2]
};

// Each thread reads its neighbour's number. The second Sync guards nothing.
template <class Arch>
CHORUS_DEVICE void RotateBody(Arch& arch, const RotateParams& params) {
  auto shared = Shared<int32_t>(arch, 0, arch.Threads());
  shared.Store(arch.Thread(), arch.Thread() * 3);
  arch.Sync();
  const int32_t value = shared.Load((arch.Thread() + 1) % arch.Threads());
  arch.Sync();  // <redundant>
  arch.Global(params.cells, arch.Threads()).Store(arch.Thread(), value);
}
CHORUS_KERNEL(kRotate, RotateParams, 64, 1, RotateBody(arch, params))

std::string RunRotate(const SimtOptions& options) {
  std::vector<int32_t> cells(64);
  SimtMemory memory;
  memory.Add("cells", cells.data(), 64, SimtUse::kWriteOnce);
  const RotateParams params{cells.data()};
  const SimtReport report = RunSimt(kRotate, 1, 64 * 4, &params, memory, options);
  if (!report.failure.empty()) return report.failure;
  for (int i = 0; i < 64; ++i) {
    if (cells[static_cast<size_t>(i)] != (i + 1) % 64 * 3) return "cell " + std::to_string(i);
  }
  return "";
}

template <class T>
std::string RunExample(const Kernel& kernel, const SimtOptions& options) {
  struct Shape {
    int rows, k, blocks;
  };
  // More steps than stages, a half step at the end, several groups a block, blocks without any; a
  // last step whose stage is among the first that the next group fills.
  for (const Shape& shape : {Shape{1, 8, 1}, Shape{150, 120, 2}, Shape{40, 32, 3}}) {
    ExampleCase<T> example(7, shape.rows, shape.k);
    const std::string failure = example.Run(kernel, shape.blocks, options);
    if (!failure.empty()) {
      return failure + " (" + std::to_string(shape.rows) + " rows, k " + std::to_string(shape.k) +
             ")";
    }
  }
  return "";
}

TEST(ExampleKernelTest, IsRightInEveryOrder) {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    for (const SimtOptions& options : EveryOrder(seed)) {
      EXPECT_EQ(RunExample<Bf16>(kExampleBf16, options), "") << Name(options);
      EXPECT_EQ(RunExample<F16>(kExampleF16, options), "") << Name(options);
    }
  }
}

TEST(ExampleKernelTest, RunsOnAnyThread) {
  std::string failures[2];
  std::vector<std::thread> threads;
  for (std::string& failure : failures) {
    threads.emplace_back([&failure] {
      for (int i = 0; i < 5 && failure.empty(); ++i) failure = RunExample<F16>(kExampleF16, {});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(failures, ElementsAre("", ""));
}

TEST(ExampleKernelTest, ReportsWhatItRan) {
  SimtReport report;
  EXPECT_EQ(ExampleCase<Bf16>(3, 33, 40).Run(kExampleBf16, 2, {}, &report), "");
  EXPECT_EQ(report.mmas, 2 * 2 * 3);  // groups, warps, steps
  EXPECT_GE(report.switches, report.mmas * 31);
  EXPECT_EQ(report.sites.size(), 9u);
}

TEST(MutationTest, EverySiteOfTheExampleIsMissed) {
  const auto run = [](const SimtOptions& options) {
    const std::string failure = RunExample<Bf16>(kExampleBf16, options);
    return failure.empty() ? RunExample<F16>(kExampleF16, options) : failure;
  };
  const MutationResult result = MutateEverySite(run);
  EXPECT_EQ(result.clean_failure, "");
  EXPECT_THAT(result.survivors, IsEmpty());
  EXPECT_EQ(result.caught.size(), 9u);
  for (const std::string& caught : result.caught) std::printf("  %s\n", caught.c_str());
}

TEST(MutationTest, ReportsASyncThatNothingNeeds) {
  const MutationResult result = MutateEverySite(&RunRotate);
  EXPECT_EQ(result.clean_failure, "");
  EXPECT_THAT(result.survivors, ElementsAre(At("mutation_test.cc", "redundant") + " Sync"));
  EXPECT_EQ(result.caught.size(), 1u);
}

TEST(MutationTest, EndsAtCasesThatFailAsTheyAre) {
  const auto run = [](const SimtOptions& options) {
    return options.order == Order::kRandom ? "wrong" : "";
  };
  EXPECT_EQ(MutateEverySite(run, 5).clean_failure, "random order, seed 5: wrong");
  const auto no_sites = [](const SimtOptions&) { return ""; };
  EXPECT_EQ(MutateEverySite(no_sites).clean_failure, "the cases came by no site");
}

}  // namespace
}  // namespace chorus::kernels
