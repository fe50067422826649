#include "kernels/rope/rope_append_kv.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/targets.h"
#include "tests/support/test_pool.h"
#include "tests/support/test_tensor.h"
#include "tests/support/tolerance.h"

namespace chorus::kernels {
namespace {

using test::TestPool;
using test::TestTensor;

constexpr int32_t kHeads = 4;
constexpr int32_t kKvHeads = 2;
constexpr float kEps = 1e-6f;

std::vector<float> InvFreq(int32_t head_dim) {
  std::vector<float> inv_freq;
  for (int32_t i = 0; i < head_dim / 2; ++i) {
    inv_freq.push_back(
        1.0f / std::pow(10000.0f, 2.0f * static_cast<float>(i) / static_cast<float>(head_dim)));
  }
  return inv_freq;
}

TestTensor MakeTable(const std::vector<int32_t>& positions, int32_t head_dim, int workers) {
  TestTensor table(DType::kF32, static_cast<int64_t>(positions.size()), head_dim);
  ComputePool pool(workers);
  const std::vector<float> inv_freq = InvFreq(head_dim);
  const absl::Status status = RopeTable({.positions = positions,
                                         .inv_freq = inv_freq,
                                         .attention_scaling = 1.5f,
                                         .cos_sin = table.view()},
                                        Stream::Cpu(&pool));
  EXPECT_TRUE(status.ok()) << status;
  return table;
}

TEST(RopeTableTest, HoldsCosinesThenSines) {
  const std::vector<int32_t> positions = {0, 1, 17, 8191, 131071};
  const TestTensor table = MakeTable(positions, 64, 2);
  const std::vector<float> inv_freq = InvFreq(64);
  for (size_t r = 0; r < positions.size(); ++r) {
    for (size_t i = 0; i < 32; ++i) {
      const float angle = static_cast<float>(positions[r]) * inv_freq[i];
      EXPECT_NEAR(table.Get(int64_t(r), int64_t(i)), 1.5 * std::cos(double{angle}), 2e-7);
      EXPECT_NEAR(table.Get(int64_t(r), int64_t(i) + 32), 1.5 * std::sin(double{angle}), 2e-7);
    }
  }
}

// One batch: rows at given positions, each with a page of its own.
struct Batch {
  Batch(DType dtype, int32_t head_dim, const std::vector<int32_t>& positions, bool norms)
      : head_dim(head_dim),
        positions(positions),
        qkv(TestTensor(DType::kF32, int64_t(positions.size()), (kHeads + 2 * kKvHeads) * head_dim)
                .Fill(1, 2.0f)),
        pool(dtype, kKvHeads, head_dim, int64_t(positions.size()) + 1, 2) {
    for (size_t i = 0; i < positions.size(); ++i) page_ids.push_back(int32_t(i) + 1);
    if (norms) {
      q_norm = test::CounterValues(5, head_dim);
      k_norm = test::CounterValues(6, head_dim);
    }
  }

  void Run(int workers) {
    before = std::make_unique<TestTensor>(qkv);
    table = std::make_unique<TestTensor>(MakeTable(positions, head_dim, 1));
    ComputePool compute(workers);
    const absl::Status status = RopeAppendKv({.qkv = qkv.view(),
                                              .cos_sin = table->view(),
                                              .q_norm = q_norm.empty() ? nullptr : q_norm.data(),
                                              .k_norm = k_norm.empty() ? nullptr : k_norm.data(),
                                              .norm_eps = kEps,
                                              .heads = kHeads,
                                              .positions = positions,
                                              .page_ids = page_ids,
                                              .pool = pool.view(),
                                              .slab = 1},
                                             Stream::Cpu(&compute));
    EXPECT_TRUE(status.ok()) << status;
  }

  // Element d of a head that begins at `column`, normed and rotated.
  double Rotated(int64_t row, int64_t column, const std::vector<float>& norm, int32_t d) const {
    double squares = 0.0;
    for (int32_t i = 0; i < head_dim; ++i) squares += std::pow(before->Get(row, column + i), 2);
    const auto normed = [&](int32_t i) {
      const double x = before->Get(row, column + i);
      return norm.empty() ? x : x / std::sqrt(squares / head_dim + kEps) * norm[size_t(i)];
    };
    const int32_t half = head_dim / 2;
    const double cos = table->Get(row, d % half);
    const double sin = table->Get(row, half + d % half);
    return d < half ? normed(d) * cos - normed(d + half) * sin
                    : normed(d) * cos + normed(d - half) * sin;
  }

  double Stored(int64_t row, int which, int32_t head, int32_t d) const {
    const PoolView& view = pool.view();
    return pool.Get(view.CellOf(1, page_ids[size_t(row)]),
                    which * view.v_offset() + view.k_offset(head) +
                        positions[size_t(row)] % kPageTokens * head_dim + d);
  }

  int32_t head_dim;
  std::vector<int32_t> positions;
  TestTensor qkv;
  TestPool pool;
  std::vector<int32_t> page_ids;
  std::vector<float> q_norm, k_norm;
  std::unique_ptr<TestTensor> before, table;
};

void ExpectNearReference(const Batch& batch, DType dtype) {
  const int32_t d_count = batch.head_dim;
  // A norm (a sum of squares), then two products and their sum, of values below about 6.
  const double tolerance = 6.0 * (d_count + 10) * test::kF32Unit;
  for (int64_t r = 0; r < batch.qkv.rows(); ++r) {
    for (int32_t d = 0; d < d_count; ++d) {
      for (int32_t h = 0; h < kHeads; ++h) {
        ASSERT_NEAR(batch.qkv.Get(r, h * d_count + d),
                    batch.Rotated(r, h * d_count, batch.q_norm, d), tolerance);
      }
      for (int32_t h = 0; h < kKvHeads; ++h) {
        const double k = batch.Rotated(r, (kHeads + h) * d_count, batch.k_norm, d);
        const double v = batch.before->Get(r, (kHeads + kKvHeads + h) * d_count + d);
        ASSERT_NEAR(batch.Stored(r, 0, h, d), k, tolerance + test::RoundingTolerance(dtype, k));
        ASSERT_NEAR(batch.Stored(r, 1, h, d), v, test::RoundingTolerance(dtype, v));
      }
    }
  }
}

class RopeAppendKvTest : public testing::TestWithParam<DType> {};

TEST_P(RopeAppendKvTest, MatchesTheReferenceOnEveryTarget) {
  test::ForEachTarget([&] {
    for (const int32_t head_dim : {8, 24, 64, 80, 128, 256}) {
      for (const bool norms : {false, true}) {
        Batch batch(GetParam(), head_dim, {0, 1, 15, 16, 999}, norms);
        batch.Run(2);
        ExpectNearReference(batch, GetParam());
      }
    }
  });
}

TEST_P(RopeAppendKvTest, WritesNothingButItsTokens) {
  Batch batch(GetParam(), 16, {3, 18}, false);
  batch.Run(2);
  const PoolView& view = batch.pool.view();
  int64_t written = 0;
  for (int64_t cell = 0; cell < view.num_ids * view.num_slabs; ++cell) {
    for (int64_t e = 0; e < view.cell_elements(); ++e) {
      written += std::isnan(batch.pool.Get(cell, e)) ? 0 : 1;
    }
  }
  EXPECT_EQ(written, 2 * 2 * kKvHeads * 16);
}

TEST_P(RopeAppendKvTest, RowBitsDoNotDependOnNeighboursOrThreads) {
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < 64; ++i) positions.push_back(i * 37 % 1000);
  Batch all(GetParam(), 48, positions, true);
  all.Run(3);
  for (const int64_t row : {0, 5, 63}) {
    Batch one(GetParam(), 48, {positions[size_t(row)]}, true);
    one.qkv = TestTensor(DType::kF32, 64, one.qkv.cols()).Fill(1, 2.0f).Pick({int32_t(row)});
    one.Run(1);
    for (int64_t c = 0; c < kHeads * 48; ++c) {
      ASSERT_EQ(one.qkv.Get(0, c), all.qkv.Get(row, c)) << row << ", " << c;
    }
    for (int32_t d = 0; d < 48; ++d) ASSERT_EQ(one.Stored(0, 0, 1, d), all.Stored(row, 0, 1, d));
  }
}

TEST_P(RopeAppendKvTest, RefusesWhatDoesNotFit) {
  Batch batch(GetParam(), 16, {3, 18}, false);
  batch.page_ids[1] = 3;
  ComputePool pool(1);
  const TestTensor table(DType::kF32, 2, 16);
  EXPECT_EQ(RopeAppendKv({.qkv = batch.qkv.view(),
                          .cos_sin = table.view(),
                          .heads = kHeads,
                          .positions = batch.positions,
                          .page_ids = batch.page_ids,
                          .pool = batch.pool.view()},
                         Stream::Cpu(&pool))
                .message(),
            "RopeAppendKv: page id is 3, want one in [0, 3)");
}

INSTANTIATE_TEST_SUITE_P(Cpu, RopeAppendKvTest, testing::Values(DType::kF32, DType::kBf16),
                         [](const auto& info) { return test::NameOf(info.param); });

}  // namespace
}  // namespace chorus::kernels
