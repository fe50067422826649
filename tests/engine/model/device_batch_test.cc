#include "engine/model/device_batch.h"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using kernels::LoraSegment;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::array<int32_t, 3>> Values(const std::vector<LoraSegment>& segments) {
  std::vector<std::array<int32_t, 3>> values;
  for (const LoraSegment& s : segments) values.push_back({s.slot, s.first_row, s.num_rows});
  return values;
}

// Sequence 0 decodes with slot 5, 1 has a prompt that an adapter joins in the middle, 2 decodes
// with the base, 3 has a prompt with slot 5.
StepPlan MixedPlan() {
  StepPlan plan;
  //                of sequence: 1   1   2   1   1   1   0   3   3
  plan.positions = {14, 15, 0, 16, 17, 18, 40, 0, 1};
  plan.tokens.assign(9, 7);
  plan.row_pages.assign(9, 1);
  plan.segments = {{3, 3, 3}, {5, 6, 3}};
  plan.sequence_rows = {6, 0, 1, 3, 4, 5, 2, 7, 8};
  plan.sequence_rows_begin = {0, 1, 6, 7, 9};
  // The last sequence has a page more than it needs.
  plan.page_ids = {10, 11, 12, 20, 21, 30, 40, 41};
  plan.page_begin = {0, 3, 5, 6, 8};
  return plan;
}

TEST(DeviceBatchTest, DecodesComeFirstBySlotAndPromptsStayTogether) {
  DeviceBatch batch;
  for (int again = 0; again < 2; ++again) {  // nothing is left of the step before
    ASSERT_TRUE(batch.Build(MixedPlan()).ok());
    EXPECT_THAT(batch.plan_rows(), ElementsAre(2, 6, 0, 1, 3, 4, 5, 7, 8));
    EXPECT_THAT(Values(batch.segments()),
                ElementsAre(ElementsAre(5, 1, 1), ElementsAre(3, 4, 3), ElementsAre(5, 7, 2)));
    EXPECT_THAT(batch.decodes().row_begin, ElementsAre(0, 1, 2));
    EXPECT_THAT(batch.decodes().tokens, ElementsAre(1, 41));
    EXPECT_THAT(batch.decodes().page_begin, ElementsAre(0, 1, 4));
    EXPECT_THAT(batch.chunks().row_begin, ElementsAre(0, 5, 7));
    EXPECT_THAT(batch.chunks().tokens, ElementsAre(19, 2));
    EXPECT_THAT(batch.chunks().page_begin, ElementsAre(4, 6, 7));
    EXPECT_THAT(batch.page_ids(), ElementsAre(30, 10, 11, 12, 20, 21, 40));
    for (int32_t row = 0; row < batch.num_rows(); ++row) {
      EXPECT_EQ(batch.RowOf(batch.plan_rows()[static_cast<size_t>(row)]), row);
    }
    StepPlan nothing;
    nothing.sequence_rows_begin = {0};
    nothing.page_begin = {0};
    ASSERT_TRUE(batch.Build(nothing).ok());
    EXPECT_EQ(batch.num_rows(), 0);
    EXPECT_THAT(batch.segments(), IsEmpty());
    EXPECT_THAT(batch.page_ids(), IsEmpty());
    EXPECT_THAT(batch.decodes().row_begin, ElementsAre(0));
    EXPECT_THAT(batch.chunks().page_begin, ElementsAre(0));
  }
}

TEST(DeviceBatchTest, DamagedPlansAreRefusedOrStillWellFormed) {
  const uint32_t seed = 20261126;
  std::mt19937 random(seed);
  const auto pick = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    StepPlan plan = MixedPlan();
    std::vector<int32_t>* const arrays[] = {&plan.positions,     &plan.row_pages,
                                            &plan.sequence_rows, &plan.sequence_rows_begin,
                                            &plan.page_ids,      &plan.page_begin};
    std::vector<int32_t>& damaged = *arrays[pick(0, 5)];
    if (pick(0, 3) == 0) {
      damaged.resize(static_cast<size_t>(pick(0, 12)));
    } else {
      damaged[static_cast<size_t>(pick(0, static_cast<int>(damaged.size()) - 1))] = pick(-2, 12);
    }
    LoraSegment& segment = plan.segments[static_cast<size_t>(pick(0, 1))];
    if (pick(0, 1) == 0) segment.num_rows = pick(-1, 12);
    DeviceBatch batch;
    if (!batch.Build(plan).ok()) {
      ++refused;
      continue;
    }
    // Every row once, and every launch's pages are those of its tokens.
    std::vector<int32_t> rows = batch.plan_rows();
    std::sort(rows.begin(), rows.end());
    for (int32_t row = 0; row < 9; ++row) ASSERT_EQ(rows[static_cast<size_t>(row)], row) << seed;
    for (const LaunchSequences* launch : {&batch.decodes(), &batch.chunks()}) {
      for (size_t s = 0; s < launch->tokens.size(); ++s) {
        ASSERT_EQ(launch->page_begin[s + 1] - launch->page_begin[s], (launch->tokens[s] + 15) / 16);
      }
    }
  }
  EXPECT_GT(refused, 5'000);
  EXPECT_LT(refused, 19'000);
}

}  // namespace
}  // namespace chorus::engine
