// RopeTable on the SIMT executor or a GPU: the CPU op's table, bit by bit.
#include "gtest/gtest.h"
#include "kernels/rope/rope_append_kv.h"
#include "kernels/rope/rope_table_kernel.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

std::vector<float> InverseFrequencies(int half) {
  std::vector<float> frequencies;
  for (int i = 0; i < half; ++i) {
    frequencies.push_back(static_cast<float>(std::pow(5e5, -double(i) / half)));
  }
  return frequencies;
}

// "" or what failed. The table of the CPU op is the double-precision cosine, rounded.
std::string RunTable(const std::vector<int32_t>& positions, int half, float scaling,
                     const SimtOptions& options) {
  const auto rows = static_cast<int32_t>(positions.size());
  const std::vector<float> frequencies = InverseFrequencies(half);
  const TestTensor got = DenseTensor(DType::kF32, rows, 2 * half);
  const TestTensor want = DenseTensor(DType::kF32, rows, 2 * half);
  ComputePool workers(1);
  const absl::Status status = RopeTable({.positions = positions,
                                         .inv_freq = frequencies,
                                         .attention_scaling = scaling,
                                         .cos_sin = want.view()},
                                        Stream::Cpu(&workers));
  if (!status.ok()) return std::string(status.message());
  SimtMemory memory;
  AddInput(memory, "positions", positions);
  AddInput(memory, "inv_freq", frequencies);
  AddTensor(memory, "cos_sin", got, SimtUse::kWriteOnce);
  const RopeTableParams params{.positions = positions.data(),
                               .inv_freq = frequencies.data(),
                               .attention_scaling = scaling,
                               .cos_sin = static_cast<float*>(got.view().data),
                               .rows = rows,
                               .half = half};
  const std::string failure =
      RunOp(kRopeTable, RopeTableBlocks(rows, half), 0, params, memory, options);
  if (!failure.empty()) return failure;
  for (int32_t row = 0; row < rows; ++row) {
    for (int i = 0; i < 2 * half; ++i) {
      const std::string wrong = Near("cos_sin", row, i, got.Get(row, i), want.Get(row, i), 0.0);
      if (!wrong.empty()) return wrong;
    }
  }
  return "";
}

class RopeTableOpTest : public OpTest {};

// Both round a double that errs by less than 2^-50, so they differ about once in 2^20 values: not
// among these.
TEST_F(RopeTableOpTest, EqualsTheCpuTableUpToTheLargestPosition) {
  std::vector<int32_t> positions = {0, 1, 2, 999, 131'071, 1'000'003, 16'777'217, 2'147'483'646};
  for (uint64_t i = 0; i < 200; ++i) {
    positions.push_back(static_cast<int32_t>(CounterHash(5, i) >> (33 + i % 24)));
  }
  for (const int half : {4, 12, 32, 64, 128}) {
    EXPECT_EQ(RunTable(positions, half, 1.0f, {}), "") << half;
    EXPECT_EQ(RunTable(positions, half, 1.2079f, {.order = Order::kRandom}), "") << half;
  }
}

TEST_F(RopeTableOpTest, EverySiteIsMissed) {
  ExpectEverySiteIsMissed(
      [](const SimtOptions& options) {
        return RunTable({7, 8, 9}, 60, 1.0f, options);
      },
      1);
}

}  // namespace
}  // namespace chorus::test
