#include "kernels/attention/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/reference/attention.h"
#include "tests/support/targets.h"
#include "tests/support/test_pool.h"
#include "tests/support/test_tensor.h"
#include "tests/support/tolerance.h"

namespace chorus::kernels {
namespace {

using test::TestPool;
using test::TestTensor;

struct Shape {
  DType dtype;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
};

// What one sequence of the batch computes: rows at positions [begin, end).
struct Chunk {
  int sequence;  // names its q, K and V
  int32_t begin;
  int32_t end;
};

// K and V of (sequence, position) are counter hashes, so that a sequence is the same wherever its
// pages lie. Everything else in the pool is NaN, tokens behind the last one included.
class Batch {
 public:
  Batch(const Shape& shape, const std::vector<Chunk>& chunks, uint64_t placement,
        bool shuffle_rows = false)
      : shape_(shape),
        chunks_(chunks),
        pool_(shape.dtype, shape.kv_heads, shape.head_dim, kIds, 2),
        q_(DType::kF32, TotalRows(chunks), int64_t{shape.heads} * shape.head_dim) {
    std::vector<int32_t> free_ids(kIds);
    std::iota(free_ids.begin(), free_ids.end(), 0);
    std::sort(free_ids.begin(), free_ids.end(), [placement](int32_t a, int32_t b) {
      return test::CounterHash(placement, static_cast<uint64_t>(a)) <
             test::CounterHash(placement, static_cast<uint64_t>(b));
    });
    for (const Chunk& chunk : chunks) {
      const int32_t pages = (chunk.end + kPageTokens - 1) / kPageTokens;
      for (int32_t p = 0; p < pages; ++p) {
        page_ids_.push_back(free_ids.back());
        free_ids.pop_back();
      }
      for (int32_t t = 0; t < chunk.end; ++t) WriteToken(chunk.sequence, t);
      page_begin_.push_back(static_cast<int32_t>(page_ids_.size()));
    }
    std::vector<int32_t> order(static_cast<size_t>(q_.rows()));
    std::iota(order.begin(), order.end(), 0);
    if (shuffle_rows) {
      std::sort(order.begin(), order.end(), [](int32_t a, int32_t b) {
        return test::CounterHash(9, static_cast<uint64_t>(a)) <
               test::CounterHash(9, static_cast<uint64_t>(b));
      });
    }
    positions_.resize(order.size());
    for (const Chunk& chunk : chunks) {
      for (int32_t t = chunk.begin; t < chunk.end; ++t) {
        const int32_t row = order[rows_.size()];
        rows_.push_back(row);
        positions_[static_cast<size_t>(row)] = t;
        for (int64_t c = 0; c < q_.cols(); ++c) q_.Set(row, c, Query(chunk.sequence, t, c));
      }
      row_begin_.push_back(static_cast<int32_t>(rows_.size()));
    }
  }

  TestTensor Run(int workers, DType y_type = DType::kF32) const {
    TestTensor y(y_type, q_.rows(), q_.cols());
    ComputePool pool(workers);
    const absl::Status status = PagedAttention(Args(y), Stream::Cpu(&pool));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(y.GapsUntouched());
    return y;
  }

  PagedAttentionArgs Args(const TestTensor& y) const {
    return {.q = q_.view(),
            .positions = positions_,
            .rows = rows_,
            .row_begin = row_begin_,
            .page_ids = page_ids_,
            .page_begin = page_begin_,
            .heads = shape_.heads,
            .scale = Scale(),
            .pool = pool_.view(),
            .slab = 1,
            .y = y.view()};
  }

  void ExpectNearReference(const TestTensor& y) const {
    for (size_t c = 0; c < chunks_.size(); ++c) {
      for (int32_t i = row_begin_[c]; i < row_begin_[c + 1]; ++i) {
        for (int32_t head = 0; head < shape_.heads; ++head) {
          ExpectHeadNear(y, chunks_[c].sequence, rows_[static_cast<size_t>(i)], head);
        }
      }
    }
  }

  // The row of a sequence at a position.
  int32_t RowOf(size_t chunk, int32_t position) const {
    return rows_[static_cast<size_t>(row_begin_[chunk] + position - chunks_[chunk].begin)];
  }

 private:
  static constexpr int32_t kIds = 100;

  static int64_t TotalRows(const std::vector<Chunk>& chunks) {
    int64_t rows = 0;
    for (const Chunk& chunk : chunks) rows += chunk.end - chunk.begin;
    return rows;
  }

  float Scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)); }

  static float Query(int sequence, int32_t token, int64_t column) {
    return 2.0f * test::CounterValue(static_cast<uint64_t>(1000 + sequence),
                                     static_cast<uint64_t>(token * 10000 + column));
  }

  // Element (K or V, head, d) of a token as it lies in the pool.
  float KeyValue(int sequence, int32_t token, int which, int32_t head, int64_t d) const {
    const float value =
        2.0f * test::CounterValue(static_cast<uint64_t>(2000 + 2 * sequence + which),
                                  static_cast<uint64_t>((token * 100 + head) * 1000 + d));
    return shape_.dtype == DType::kBf16 ? Bf16::FromFloat(value).ToFloat() : value;
  }

  void WriteToken(int sequence, int32_t token) {
    const PoolView& pool = pool_.view();
    const size_t page =
        static_cast<size_t>(page_begin_.back()) + static_cast<size_t>(token / kPageTokens);
    for (int which = 0; which < 2; ++which) {
      for (int32_t head = 0; head < shape_.kv_heads; ++head) {
        for (int32_t d = 0; d < shape_.head_dim; ++d) {
          pool_.Set(pool.CellOf(1, page_ids_[page]),
                    which * pool.v_offset() + pool.k_offset(head) +
                        token % kPageTokens * shape_.head_dim + d,
                    KeyValue(sequence, token, which, head, d));
        }
      }
    }
  }

  void ExpectHeadNear(const TestTensor& y, int sequence, int32_t row, int32_t head) const {
    const int32_t tokens = positions_[static_cast<size_t>(row)] + 1;
    const int32_t kv_head = head / (shape_.heads / shape_.kv_heads);
    std::vector<double> query;
    for (int32_t d = 0; d < shape_.head_dim; ++d) {
      query.push_back(q_.Get(row, head * shape_.head_dim + d));
    }
    const auto part = [&](int which) {
      return [this, which, sequence, kv_head](int64_t t, int64_t d) {
        return double{KeyValue(sequence, static_cast<int32_t>(t), which, kv_head, d)};
      };
    };
    const std::vector<double> want =
        test::ReferenceAttention(query, tokens, Scale(), part(0), part(1));
    // |q| and |k| are at most 2.
    const double magnitude = 4.0 * shape_.head_dim * Scale();
    const double tolerance = test::AttentionTolerance(shape_.head_dim, tokens, magnitude, 2.0);
    for (int32_t d = 0; d < shape_.head_dim; ++d) {
      const double value = want[static_cast<size_t>(d)];
      ASSERT_NEAR(y.Get(row, head * shape_.head_dim + d), value,
                  tolerance + test::RoundingTolerance(y.dtype(), value))
          << "sequence " << sequence << " token " << tokens - 1 << " head " << head << " d " << d;
    }
  }

  Shape shape_;
  std::vector<Chunk> chunks_;
  TestPool pool_;
  TestTensor q_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> rows_;
  std::vector<int32_t> row_begin_{0};
  std::vector<int32_t> page_ids_;
  std::vector<int32_t> page_begin_{0};
};

class PagedAttentionTest : public testing::TestWithParam<DType> {};

TEST_P(PagedAttentionTest, MatchesTheReference) {
  for (const Shape& shape : std::vector<Shape>{{GetParam(), 9, 3, 64},
                                               {GetParam(), 4, 4, 8},
                                               {GetParam(), 7, 1, 40},
                                               {GetParam(), 64, 1, 16},
                                               {GetParam(), 2, 1, 80},
                                               {GetParam(), 8, 2, 128},
                                               {GetParam(), 2, 2, 256}}) {
    const Batch batch(shape, {{0, 0, 40}, {1, 69, 70}, {2, 15, 17}, {3, 0, 1}, {4, 20, 20}}, 1);
    batch.ExpectNearReference(batch.Run(2));
    batch.ExpectNearReference(batch.Run(2, DType::kBf16));
  }
}

// The law, over chunking, neighbours, order of rows, pages and threads.
TEST_P(PagedAttentionTest, RowBitsDoNotDependOnChunkingNeighboursPagesOrThreads) {
  for (const Shape& shape : std::vector<Shape>{
           {GetParam(), 9, 3, 64}, {GetParam(), 4, 4, 24}, {GetParam(), 7, 1, 128}}) {
    const Batch whole(shape, {{0, 0, 150}}, 1);
    const TestTensor want = whole.Run(1);
    for (const auto& [begin, end] : std::vector<std::pair<int32_t, int32_t>>{
             {0, 7}, {7, 16}, {16, 49}, {49, 50}, {100, 150}, {149, 150}}) {
      const Batch mixed(shape, {{1, 3, 90}, {0, begin, end}, {2, 33, 34}}, 2, true);
      for (const int workers : {1, 2, 3}) {
        const TestTensor y = mixed.Run(workers);
        for (int32_t t = begin; t < end; ++t) {
          ASSERT_TRUE(y.RowEquals(mixed.RowOf(1, t), want, t)) << t << " in " << begin;
        }
      }
    }
  }
}

TEST_P(PagedAttentionTest, EveryTargetMatchesTheReference) {
  const Batch batch({GetParam(), 4, 2, 48}, {{0, 5, 22}, {1, 30, 31}}, 1);
  const Batch narrow({GetParam(), 4, 2, 24}, {{0, 5, 22}, {1, 30, 31}}, 1);
  test::ForEachTarget([&] {
    batch.ExpectNearReference(batch.Run(2));
    narrow.ExpectNearReference(narrow.Run(2, DType::kBf16));
  });
}

TEST_P(PagedAttentionTest, RefusesWhatDoesNotFit) {
  const Batch batch({GetParam(), 4, 2, 16}, {{0, 0, 20}}, 1);
  const TestTensor y(DType::kF32, 20, 64);
  ComputePool pool(1);
  const auto message = [&](const auto& change) {
    PagedAttentionArgs args = batch.Args(y);
    change(args);
    return std::string(PagedAttention(args, Stream::Cpu(&pool)).message());
  };
  EXPECT_EQ(message([](PagedAttentionArgs&) {}), "");
  EXPECT_THAT(message([](PagedAttentionArgs& a) { a.heads = 3; }),
              testing::HasSubstr("want a multiple of the 2 KV heads"));
  EXPECT_EQ(message([](PagedAttentionArgs& a) { a.slab = 2; }),
            "PagedAttention: slab is 2, want one in [0, 2)");
  const std::vector<int32_t> one_page = {0, 1};
  EXPECT_THAT(message([&](PagedAttentionArgs& a) {
                a.page_begin = one_page;
                a.page_ids = a.page_ids.first(1);
              }),
              testing::HasSubstr("has 1 pages of 16 tokens, want room for position 19"));
  const std::vector<int32_t> bad_ids = {0, 100};
  EXPECT_EQ(message([&](PagedAttentionArgs& a) { a.page_ids = bad_ids; }),
            "PagedAttention: page id is 100, want one in [0, 100)");
}

INSTANTIATE_TEST_SUITE_P(Cpu, PagedAttentionTest, testing::Values(DType::kF32, DType::kBf16),
                         [](const auto& info) { return test::NameOf(info.param); });

}  // namespace
}  // namespace chorus::kernels
