#include <algorithm>
#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/lora/expand.h"
#include "kernels/lora/shrink.h"
#include "tests/support/cpu_way.h"
#include "tests/support/lora_fixture.h"
#include "tests/support/targets.h"
#include "tests/support/tolerance.h"

namespace chorus::kernels {
namespace {

using test::TestAdapter;
using test::TestModule;
using test::TestPool;
using test::TestTensor;

std::vector<int32_t> ShuffledCells(int32_t count, uint64_t seed) {
  std::vector<int32_t> cells(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) cells[static_cast<size_t>(i)] = i;
  std::sort(cells.begin(), cells.end(), [seed](int32_t a, int32_t b) {
    return test::CounterHash(seed, static_cast<uint64_t>(a)) <
           test::CounterHash(seed, static_cast<uint64_t>(b));
  });
  return cells;
}

// Adapters over one site of three modules that share their input, in a small pool.
struct Batch {
  Batch(DType dtype, int64_t inputs, const std::vector<std::vector<int>>& ranks,
        uint64_t placement = 1)
      : pool(dtype, 1, 24, 4000), free_cells(ShuffledCells(4000, placement)) {
    site.num_modules = 3;
    int64_t column = 5;
    for (int m = 0; m < 3; ++m) {
      site.modules[m] = m;
      site.y_column[m] = column;
      site.y_width[m] = kWidths[m];
      column += kWidths[m];
    }
    outputs = column + 2;
    for (size_t a = 0; a < ranks.size(); ++a) {
      std::vector<TestModule> modules;
      for (int m = 0; m < 3; ++m) {
        modules.push_back({.inputs = inputs,
                           .outputs = kWidths[m],
                           .rank = ranks[a][static_cast<size_t>(m)],
                           .scale = 0.25f + static_cast<float>(a),
                           .has_bias = m == 1});
      }
      adapters.push_back(std::make_unique<TestAdapter>(pool, free_cells, modules, a + 1, a % 3));
      slots.push_back(adapters.back()->slot());
    }
  }

  int64_t MaxRanks() const {
    int64_t most = 0;
    for (const LoraSlot& slot : slots) most = std::max(most, SiteRanks(slot, 0, site));
    return most;
  }

  TestTensor Shrink(const TestTensor& x, const std::vector<LoraSegment>& segments,
                    int workers) const {
    TestTensor xa(DType::kF32, x.rows(), MaxRanks());
    ComputePool workers_pool(workers);
    const absl::Status status = LoraShrink({.x = x.view(),
                                            .segments = segments,
                                            .slots = &slots,
                                            .pool = pool.view(),
                                            .site = site,
                                            .xa = xa.view()},
                                           Stream::Cpu(&workers_pool));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(xa.GapsUntouched());
    return xa;
  }

  TestTensor Expand(const TestTensor& xa, const TestTensor& y_before,
                    const std::vector<LoraSegment>& segments, int workers) const {
    TestTensor y = y_before;
    ComputePool workers_pool(workers);
    const absl::Status status = LoraExpand({.xa = xa.view(),
                                            .segments = segments,
                                            .slots = &slots,
                                            .pool = pool.view(),
                                            .site = site,
                                            .y = y.view()},
                                           Stream::Cpu(&workers_pool));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(y.GapsUntouched());
    return y;
  }

  static constexpr int64_t kWidths[3] = {64, 112, 300};
  TestPool pool;
  std::vector<int32_t> free_cells;
  std::vector<std::unique_ptr<TestAdapter>> adapters;
  LoraSlotTable slots;
  LoraSite site;
  int64_t outputs = 0;
};

class LoraTest : public test::CpuWayTest {};

void ExpectShrinkNearReference(const Batch& batch, const TestTensor& x, const TestTensor& xa,
                               const LoraSegment& segment) {
  const TestAdapter& adapter = *batch.adapters[static_cast<size_t>(segment.slot)];
  for (int64_t r = segment.first_row; r < segment.first_row + segment.num_rows; ++r) {
    int64_t column = 0;
    for (int m = 0; m < 3; ++m) {
      const int rank = adapter.slot().entry(0, m).rank;
      for (int k = 0; k < rank; ++k) {
        const test::ReferenceSum want = adapter.Shrink(m, x, r, k);
        ASSERT_NEAR(xa.Get(r, column + k), want.value, test::SumTolerance(x.cols(), want.magnitude))
            << "row " << r << " module " << m << " rank " << k << " of " << rank;
      }
      column += RoundUp(rank, kTileRanks);
    }
  }
}

void ExpectExpandNearReference(const Batch& batch, const TestTensor& xa, const TestTensor& before,
                               const TestTensor& y, const LoraSegment& segment) {
  const TestAdapter& adapter = *batch.adapters[static_cast<size_t>(segment.slot)];
  for (int64_t r = segment.first_row; r < segment.first_row + segment.num_rows; ++r) {
    int64_t column = 0;
    for (int m = 0; m < 3; ++m) {
      const LoraModuleEntry& entry = adapter.slot().entry(0, m);
      for (int64_t o = 0; o < Batch::kWidths[m]; ++o) {
        test::ReferenceSum want;
        if (entry.rank > 0) want = adapter.Expand(m, xa, r, column, o);
        const int64_t y_column = batch.site.y_column[m] + o;
        want.Add(before.Get(r, y_column));
        ASSERT_NEAR(y.Get(r, y_column), want.value,
                    test::SumTolerance(entry.rank + 3, want.magnitude))
            << "row " << r << " module " << m << " output " << o << " rank " << entry.rank;
      }
      column += RoundUp(entry.rank, kTileRanks);
    }
  }
}

constexpr int kRanks[] = {1, 7, 8, 9, 16, 17, 24, 33, 64, 100, 128, 255, 256};

TEST_P(LoraTest, MatchesTheReferenceAtEveryRank) {
  for (const int64_t inputs : {64, 112, 576, 1530}) {
    for (const int rank : kRanks) {
      if (inputs == 1530 && rank % 8 == 0) continue;
      const Batch batch(dtype(), inputs, {{rank, 0, rank}, {1, rank, 3}});
      const int rows = rank < 20 ? 9 : 3;
      const TestTensor x = TestTensor(dtype(), rows + 3, inputs).Fill(7);
      const std::vector<LoraSegment> segments = {{0, 1, rows - 1}, {1, rows + 1, 1}};
      const TestTensor xa = batch.Shrink(x, segments, 2);
      const TestTensor before = TestTensor(DType::kF32, x.rows(), batch.outputs).Fill(8);
      const TestTensor y = batch.Expand(xa, before, segments, 2);
      for (const LoraSegment& segment : segments) {
        ExpectShrinkNearReference(batch, x, xa, segment);
        ExpectExpandNearReference(batch, xa, before, y, segment);
      }
      for (const int64_t row : {0, rows, rows + 2}) EXPECT_TRUE(y.RowEquals(row, before, row));
      for (int64_t r = 0; r < x.rows(); ++r) {
        for (int64_t c = 0; c < 5; ++c) ASSERT_EQ(y.Get(r, c), before.Get(r, c));
      }
    }
  }
}

// The law: mixed batches, other threads and other cells give each row the bits it gets alone.
TEST_P(LoraTest, RowBitsDoNotDependOnNeighboursThreadsOrCells) {
  const std::vector<std::vector<int>> ranks = {{16, 16, 16}, {8, 0, 33}, {1, 100, 7}, {0, 9, 0}};
  const Batch batch(dtype(), 576, ranks);
  const Batch elsewhere(dtype(), 576, ranks, /*placement=*/2);
  const std::vector<LoraSegment> segments = {{2, 0, 1}, {0, 1, 64}, {1, 65, 7}, {3, 80, 17}};
  const TestTensor x = TestTensor(dtype(), 100, 576).Fill(7);
  const TestTensor before = TestTensor(DType::kF32, 100, batch.outputs).Fill(8);
  const TestTensor xa = batch.Shrink(x, segments, 1);
  const TestTensor y = batch.Expand(xa, before, segments, 1);
  for (const int workers : {2, 3}) {
    const TestTensor other_xa = elsewhere.Shrink(x, segments, workers);
    const TestTensor other = elsewhere.Expand(other_xa, before, segments, workers);
    for (int64_t r = 0; r < 100; ++r) ASSERT_TRUE(other.RowEquals(r, y, r)) << r;
  }
  for (const LoraSegment& segment : segments) {
    for (int32_t r = segment.first_row; r < segment.first_row + segment.num_rows; r += 3) {
      const std::vector<LoraSegment> alone = {{segment.slot, 0, 1}};
      const TestTensor alone_xa = batch.Shrink(x.Pick({r}), alone, 2);
      const TestTensor one = batch.Expand(alone_xa, before.Pick({r}), alone, 2);
      ASSERT_TRUE(one.RowEquals(0, y, r)) << "slot " << segment.slot << " row " << r;
    }
  }
}

TEST_P(LoraTest, RefusesWhatDoesNotFit) {
  Batch batch(dtype(), 64, {{8, 8, 8}});
  const TestTensor x = TestTensor(dtype(), 4, 64).Fill(7);
  TestTensor xa(DType::kF32, 4, 24);
  ComputePool pool(1);
  const auto shrink = [&](const std::vector<LoraSegment>& segments, int64_t xa_cols) {
    return std::string(LoraShrink({.x = x.view(),
                                   .segments = segments,
                                   .slots = &batch.slots,
                                   .pool = batch.pool.view(),
                                   .site = batch.site,
                                   .xa = xa.view().Columns(0, xa_cols)},
                                  Stream::Cpu(&pool))
                           .message());
  };
  EXPECT_EQ(shrink({{0, 0, 4}}, 24), "");
  EXPECT_EQ(shrink({{1, 0, 4}}, 24), "LoraShrink: slot is 1, want one in [0, 1)");
  EXPECT_THAT(shrink({{0, 0, 5}}, 24), testing::HasSubstr("begins at row 0 and has 5 rows"));
  EXPECT_THAT(shrink({{0, 0, 2}, {0, 1, 1}}, 24), testing::HasSubstr("begins at row 1"));
  EXPECT_THAT(shrink({{0, 0, 4}}, 16), testing::HasSubstr("xa has 16 columns"));
  batch.slots[0].cells.resize(1);
  EXPECT_THAT(shrink({{0, 0, 4}}, 24), testing::HasSubstr("A of module"));
}

TEST_P(LoraTest, EveryTargetMatchesTheReference) {
  const Batch batch(dtype(), 72, {{9, 0, 20}});
  const TestTensor x = TestTensor(dtype(), 5, 72).Fill(7);
  const TestTensor before = TestTensor(DType::kF32, 5, batch.outputs).Fill(8);
  const LoraSegment segment = {0, 0, 5};
  test::ForEachTarget([&] {
    const TestTensor xa = batch.Shrink(x, {segment}, 2);
    ExpectShrinkNearReference(batch, x, xa, segment);
    const TestTensor y = batch.Expand(xa, before, {segment}, 2);
    ExpectExpandNearReference(batch, xa, before, y, segment);
  });
}

INSTANTIATE_TEST_SUITE_P(Cpu, LoraTest, test::AllCpuWays(), test::NameOfCpuWay);

}  // namespace
}  // namespace chorus::kernels
