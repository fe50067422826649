// RmsNorm, SiluMul, Embedding and CopyPages, and the exp they and attention share.
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/activation/silu_mul.h"
#include "kernels/copy/copy_pages.h"
#include "kernels/embedding/embedding.h"
#include "kernels/norm/rms_norm.h"
#include "tests/support/targets.h"
#include "tests/support/test_pool.h"
#include "tests/support/test_tensor.h"
#include "tests/support/tolerance.h"

namespace chorus::kernels {
namespace {

using test::TestTensor;

constexpr int64_t kWidths[] = {1, 7, 64, 112, 576, 1536};

class RowOpTest : public testing::TestWithParam<DType> {};

TestTensor RunNorm(const TestTensor& x, const std::vector<float>& weight, DType type, int workers) {
  TestTensor y(type, x.rows(), x.cols());
  ComputePool pool(workers);
  const absl::Status status = RmsNorm(
      {.x = x.view(), .weight = weight.data(), .eps = 1e-5f, .y = y.view()}, Stream::Cpu(&pool));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(y.GapsUntouched());
  return y;
}

void ExpectNormNearReference(const TestTensor& x, const std::vector<float>& weight,
                             const TestTensor& y) {
  for (int64_t r = 0; r < x.rows(); ++r) {
    double squares = 0.0;
    for (int64_t i = 0; i < x.cols(); ++i) squares += x.Get(r, i) * x.Get(r, i);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.cols()) + 1e-5);
    for (int64_t i = 0; i < x.cols(); ++i) {
      const double want = x.Get(r, i) * inverse * weight[static_cast<size_t>(i)];
      // The sum of squares has only positive terms, so its error is relative.
      const double relative = static_cast<double>(x.cols() + 8) * test::kF32Unit;
      ASSERT_NEAR(y.Get(r, i), want,
                  relative * std::abs(want) + test::RoundingTolerance(y.dtype(), want))
          << r << ", " << i << " of " << x.cols();
    }
  }
}

TEST_P(RowOpTest, RmsNormMatchesTheReferenceOnEveryTarget) {
  test::ForEachTarget([&] {
    for (const int64_t width : kWidths) {
      for (const int64_t rows : {0, 1, 2, 17, 64}) {
        const TestTensor x = TestTensor(DType::kF32, rows, width).Fill(1, 3.0f);
        const std::vector<float> weight = test::CounterValues(2, width);
        ExpectNormNearReference(x, weight, RunNorm(x, weight, GetParam(), 2));
      }
    }
  });
}

TestTensor RunSilu(const TestTensor& gate_up, DType type, int workers) {
  TestTensor y(type, gate_up.rows(), gate_up.cols() / 2);
  ComputePool pool(workers);
  const absl::Status status =
      SiluMul({.gate_up = gate_up.view(), .y = y.view()}, Stream::Cpu(&pool));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(y.GapsUntouched());
  return y;
}

TEST_P(RowOpTest, SiluMulMatchesTheReferenceOnEveryTarget) {
  test::ForEachTarget([&] {
    for (const int64_t width : kWidths) {
      for (const int64_t rows : {0, 1, 2, 17, 64}) {
        const TestTensor x = TestTensor(DType::kF32, rows, 2 * width).Fill(1, 30.0f);
        const TestTensor y = RunSilu(x, GetParam(), 2);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t i = 0; i < width; ++i) {
            const double gate = x.Get(r, i);
            const double want = gate / (1.0 + std::exp(-gate)) * x.Get(r, width + i);
            // exp within 2 ulp (4 units), then an addition, a division and a multiplication.
            ASSERT_NEAR(
                y.Get(r, i), want,
                8 * test::kF32Unit * std::abs(want) + test::RoundingTolerance(GetParam(), want))
                << gate;
          }
        }
      }
    }
  });
}

TEST_P(RowOpTest, RowBitsDoNotDependOnNeighboursOrThreads) {
  for (const int64_t width : kWidths) {
    const TestTensor x = TestTensor(DType::kF32, 300, 2 * width).Fill(1, 3.0f);
    const std::vector<float> weight = test::CounterValues(2, 2 * width);
    const TestTensor norm = RunNorm(x, weight, GetParam(), 1);
    const TestTensor silu = RunSilu(x, GetParam(), 1);
    for (const int workers : {2, 3}) {
      const TestTensor same_norm = RunNorm(x, weight, GetParam(), workers);
      const TestTensor same_silu = RunSilu(x, GetParam(), workers);
      for (int32_t r = 0; r < 300; ++r) {
        ASSERT_TRUE(same_norm.RowEquals(r, norm, r)) << r;
        ASSERT_TRUE(same_silu.RowEquals(r, silu, r)) << r;
      }
    }
    for (const int32_t r : {0, 17, 299}) {
      EXPECT_TRUE(RunNorm(x.Pick({r}), weight, GetParam(), 2).RowEquals(0, norm, r));
      EXPECT_TRUE(RunSilu(x.Pick({r}), GetParam(), 2).RowEquals(0, silu, r));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, RowOpTest, testing::Values(DType::kF32, DType::kBf16),
                         [](const auto& info) { return test::NameOf(info.param); });

TEST(SiluMulTest, SaturatesWithoutNan) {
  TestTensor x(DType::kF32, 1, 8);
  const float gates[] = {-INFINITY, -200.0f, 200.0f, 0.0f};
  for (int64_t i = 0; i < 4; ++i) {
    x.Set(0, i, gates[i]);
    x.Set(0, 4 + i, 1.0f);
  }
  const TestTensor y = RunSilu(x, DType::kF32, 1);
  EXPECT_TRUE(std::isnan(y.Get(0, 0)));  // -inf · 0, as PyTorch has it
  EXPECT_EQ(y.Get(0, 1), 0.0);
  EXPECT_EQ(y.Get(0, 2), 200.0);
  EXPECT_EQ(y.Get(0, 3), 0.0);
}

TEST(EmbeddingTest, GathersRowsAndRefusesOtherTokens) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    const TestTensor w = TestTensor(dtype, 100, 33).Fill(1);
    PackedMatrix table = PackedMatrix::Allocate(dtype, 100, 33).value();
    std::vector<float> row(33);
    for (int64_t o = 0; o < 100; ++o) {
      for (int64_t i = 0; i < 33; ++i)
        row[static_cast<size_t>(i)] = static_cast<float>(w.Get(o, i));
      table.SetRow(o, row.data());
    }
    ComputePool pool(2);
    const std::vector<int32_t> tokens = {99, 0, 48, 47, 99};
    TestTensor y(DType::kF32, 5, 33);
    ASSERT_TRUE(
        Embedding({.tokens = tokens, .table = &table, .y = y.view()}, Stream::Cpu(&pool)).ok());
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t i = 0; i < 33; ++i) EXPECT_EQ(y.Get(r, i), w.Get(tokens[size_t(r)], i));
    }
    const std::vector<int32_t> bad = {0, 0, 100, 0, 0};
    EXPECT_EQ(
        Embedding({.tokens = bad, .table = &table, .y = y.view()}, Stream::Cpu(&pool)).message(),
        "Embedding: token is 100, want one in [0, 100)");
  }
}

TEST(CopyPagesTest, CopiesEverySlabAndNothingElse) {
  test::TestPool pages(DType::kBf16, 2, 16, 6, 3);
  const PoolView& view = pages.view();
  for (int64_t cell = 0; cell < 18; ++cell) {
    for (int64_t e = 0; e < view.cell_elements(); ++e) {
      pages.Set(cell, e, static_cast<float>(cell));
    }
  }
  ComputePool pool(2);
  const std::vector<PageCopy> copies = {{0, 5}, {3, 1}};
  ASSERT_TRUE(CopyPages({.pool = view, .copies = copies}, Stream::Cpu(&pool)).ok());
  const int64_t want[] = {0, 3, 2, 3, 4, 0};
  for (int32_t slab = 0; slab < 3; ++slab) {
    for (int32_t id = 0; id < 6; ++id) {
      for (const int64_t e : {int64_t{0}, view.cell_elements() - 1}) {
        EXPECT_EQ(pages.Get(view.CellOf(slab, id), e), double(slab * 6 + want[id]));
      }
    }
  }
  const std::vector<PageCopy> bad = {{0, 6}};
  EXPECT_FALSE(CopyPages({.pool = view, .copies = bad}, Stream::Cpu(&pool)).ok());
}

}  // namespace
}  // namespace chorus::kernels
