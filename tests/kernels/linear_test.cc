#include "kernels/linear/linear.h"

#include <numeric>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/cpu_way.h"
#include "tests/support/reference/linear.h"
#include "tests/support/targets.h"
#include "tests/support/test_tensor.h"
#include "tests/support/tolerance.h"

namespace chorus::kernels {
namespace {

using test::TestTensor;

PackedMatrix Pack(const TestTensor& weight) {
  PackedMatrix packed =
      PackedMatrix::Allocate(weight.dtype(), weight.rows(), weight.cols()).value();
  std::vector<float> row(static_cast<size_t>(weight.cols()));
  for (int64_t o = 0; o < weight.rows(); ++o) {
    for (int64_t i = 0; i < weight.cols(); ++i) {
      row[static_cast<size_t>(i)] = static_cast<float>(weight.Get(o, i));
    }
    packed.SetRow(o, row.data());
  }
  return packed;
}

TestTensor RunLinear(const TestTensor& x, const PackedMatrix& weight, const float* bias,
                     int workers) {
  TestTensor y(DType::kF32, x.rows(), weight.outputs());
  ComputePool pool(workers);
  const absl::Status status =
      Linear({.x = x.view(), .weight = &weight, .bias = bias, .y = y.view()}, Stream::Cpu(&pool));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(y.GapsUntouched());
  return y;
}

class LinearTest : public test::CpuWayTest {};

void ExpectNearReference(const TestTensor& x, const TestTensor& w, const TestTensor& y,
                         const std::vector<float>& bias, const TestTensor* added) {
  for (int64_t r = 0; r < x.rows(); ++r) {
    for (int64_t o = 0; o < w.rows(); ++o) {
      test::ReferenceSum want = test::ReferenceDot(x, r, w, o);
      if (!bias.empty()) want.Add(bias[static_cast<size_t>(o)]);
      if (added != nullptr) want.Add(added->Get(r, o));
      ASSERT_NEAR(y.Get(r, o), want.value, test::SumTolerance(w.cols() + 2, want.magnitude))
          << "row " << r << " of " << x.rows() << ", output " << o << ", inputs " << w.cols();
    }
  }
}

TEST_P(LinearTest, MatchesTheReferenceAtAwkwardSizes) {
  for (const auto& [outputs, inputs] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {3, 2}, {47, 63}, {48, 64}, {49, 65}, {112, 576}, {200, 1536}, {50, 4103}}) {
    const TestTensor w = TestTensor(dtype(), outputs, inputs).Fill(1);
    const PackedMatrix packed = Pack(w);
    const std::vector<float> bias = test::CounterValues(3, outputs);
    for (const int64_t rows : {0, 1, 2, 7, 16, 17}) {
      const TestTensor x = TestTensor(dtype(), rows, inputs).Fill(2);
      const TestTensor y = RunLinear(x, packed, bias.data(), 2);
      ExpectNearReference(x, w, y, bias, nullptr);
    }
  }
}

TEST_P(LinearTest, MatchesTheReferenceWithManyRows) {
  const TestTensor w = TestTensor(dtype(), 100, 64).Fill(1);
  const TestTensor x = TestTensor(dtype(), 300, 64).Fill(2);
  ExpectNearReference(x, w, RunLinear(x, Pack(w), nullptr, 2), {}, nullptr);
}

TEST_P(LinearTest, AccumulatesIntoY) {
  const TestTensor w = TestTensor(dtype(), 75, 2100).Fill(1);
  const TestTensor x = TestTensor(dtype(), 5, 2100).Fill(2);
  const PackedMatrix packed = Pack(w);
  const std::vector<float> bias = test::CounterValues(3, 75);
  const TestTensor before = TestTensor(DType::kF32, 5, 75).Fill(4, 10.0f);
  TestTensor y = before;
  ComputePool pool(2);
  ASSERT_TRUE(Linear({.x = x.view(),
                      .weight = &packed,
                      .bias = bias.data(),
                      .accumulate = true,
                      .y = y.view()},
                     Stream::Cpu(&pool))
                  .ok());
  ExpectNearReference(x, w, y, bias, &before);
}

// The law: a row's bits depend on nothing but the row.
TEST_P(LinearTest, RowBitsDoNotDependOnNeighboursOrThreads) {
  for (const auto& [outputs, inputs] :
       std::vector<std::pair<int64_t, int64_t>>{{112, 576}, {48, 65}, {100, 4103}}) {
    const PackedMatrix packed = Pack(TestTensor(dtype(), outputs, inputs).Fill(1));
    const TestTensor x = TestTensor(dtype(), 300, inputs).Fill(2);
    const TestTensor all = RunLinear(x, packed, nullptr, 1);
    for (const int workers : {2, 3}) {
      const TestTensor same = RunLinear(x, packed, nullptr, workers);
      for (int64_t r = 0; r < 300; ++r) ASSERT_TRUE(same.RowEquals(r, all, r)) << r;
    }
    for (const int32_t count : {1, 2, 3, 5, 8, 9, 16, 31, 64, 129}) {
      std::vector<int32_t> rows(static_cast<size_t>(count));
      for (int32_t i = 0; i < count; ++i) {
        rows[static_cast<size_t>(i)] = (i * 71 + count) % 300;  // a permutation's beginning
      }
      const TestTensor some = RunLinear(x.Pick(rows), packed, nullptr, 2);
      for (int32_t i = 0; i < count; ++i) {
        ASSERT_TRUE(some.RowEquals(i, all, rows[static_cast<size_t>(i)])) << count << " rows";
      }
    }
  }
}

TEST_P(LinearTest, RowOfNansLeavesItsNeighboursAlone) {
  const PackedMatrix packed = Pack(TestTensor(dtype(), 60, 63).Fill(1));
  TestTensor x = TestTensor(dtype(), 9, 63).Fill(2);
  const TestTensor clean = RunLinear(x, packed, nullptr, 2);
  for (int64_t i = 0; i < 63; ++i) x.Set(4, i, std::nanf(""));
  const TestTensor y = RunLinear(x, packed, nullptr, 2);
  for (int64_t r = 0; r < 9; ++r) {
    if (r == 4) continue;
    EXPECT_TRUE(y.RowEquals(r, clean, r)) << r;
  }
  EXPECT_TRUE(std::isnan(y.Get(4, 0)));
}

TEST_P(LinearTest, RefusesShapesThatDoNotFit) {
  const PackedMatrix weight = Pack(TestTensor(dtype(), 4, 6).Fill(1));
  ComputePool pool(1);
  const TestTensor x = TestTensor(dtype(), 2, 5).Fill(2);
  const TestTensor y(DType::kF32, 2, 4);
  const absl::Status status =
      Linear({.x = x.view(), .weight = &weight, .y = y.view()}, Stream::Cpu(&pool));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "Linear: x is [2, 5] " + test::NameOf(dtype()) + ", want [any, 6] " +
                                  test::NameOf(dtype()));
  TensorView on_gpu = TestTensor(dtype(), 2, 6).view();
  on_gpu.device = DeviceType::kCuda;
  EXPECT_THAT(
      std::string(
          Linear({.x = on_gpu, .weight = &weight, .y = y.view()}, Stream::Cpu(&pool)).message()),
      testing::HasSubstr("this build has no CUDA backend"));
}

TEST_P(LinearTest, EveryTargetMatchesTheReferenceAndKeepsTheLaw) {
  const TestTensor w = TestTensor(dtype(), 77, 131).Fill(1);
  const TestTensor x = TestTensor(dtype(), 13, 131).Fill(2);
  const PackedMatrix packed = Pack(w);
  test::ForEachTarget([&] {
    const TestTensor y = RunLinear(x, packed, nullptr, 2);
    ExpectNearReference(x, w, y, {}, nullptr);
    for (int32_t r = 0; r < 13; ++r) {
      EXPECT_TRUE(RunLinear(x.Pick({r}), packed, nullptr, 1).RowEquals(0, y, r)) << r;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Cpu, LinearTest, test::AllCpuWays(), test::NameOfCpuWay);

TEST(PackedMatrixTest, GivesBackWhatWasSet) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    const TestTensor w = TestTensor(dtype, 50, 7).Fill(5);
    PackedMatrix packed = Pack(w);
    PackedMatrix moved = std::move(packed);
    EXPECT_EQ(packed.data(), nullptr);
    std::vector<float> row(7);
    for (int64_t o = 0; o < 50; ++o) {
      moved.GetRow(o, row.data());
      for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(row[static_cast<size_t>(i)], w.Get(o, i));
    }
  }
}

TEST(PackedMatrixTest, RefusesWhatHasNoSize) {
  EXPECT_EQ(PackedMatrix::Allocate(DType::kF16, 4, 4).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PackedMatrix::Allocate(DType::kF32, 0, 4).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PackedMatrix::Allocate(DType::kF32, int64_t{1} << 40, int64_t{1} << 40).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PackedMatrix::Allocate(DType::kF32, int64_t{1} << 30, int64_t{1} << 20).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace chorus::kernels
