// Lists of LoRA items: whatever legal mix comes fits, and no list is much longer than the worst.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/lora/cluster_items.h"
#include "kernels/lora/list_capacity.h"

namespace chorus::kernels {
namespace {

LoraSiteShape Site(int32_t inputs, const std::vector<int32_t>& widths) {
  LoraSiteShape site;
  site.inputs = inputs;
  for (const int32_t width : widths) site.y_width[site.num_modules++] = width;
  return site;
}

// Llama-3-8B's.
const LoraSiteShape kQkv = Site(4096, {4096, 1024, 1024});
const LoraSiteShape kO = Site(4096, {4096});
const LoraSiteShape kGateUp = Site(4096, {14336, 14336});
const LoraSiteShape kDown = Site(14336, {4096});

struct Segment {
  int32_t rows = 1;
  std::vector<int32_t> ranks;  // of the site's modules
};

struct Items {
  int64_t shrink = 0;
  int64_t expand = 0;
  int64_t cluster = 0;  // steps, for clusters of 8
};
Items ItemsOf(const LoraSiteShape& site, const std::vector<Segment>& segments, int32_t planes) {
  Items items;
  for (const Segment& segment : segments) {
    UnitCut cut;
    for (const int32_t rank : segment.ranks) {
      if (rank > 0) cut.Add(rank);
    }
    items.cluster += Pieces(segment.rows) * cut.units * UnitSteps(8, site.num_modules);
    for (int32_t m = 0; m < site.num_modules; ++m) {
      const int32_t rank = segment.ranks[static_cast<size_t>(m)];
      items.shrink += Pieces(segment.rows) * ShrinkItems(site.inputs, rank, planes);
      items.expand += Pieces(segment.rows) * ExpandItems(site.y_width[m], rank);
    }
  }
  return items;
}

int32_t Between(std::mt19937& random, int32_t least, int32_t most) {
  return std::uniform_int_distribution<int32_t>(least, most)(random);
}

// A mix that goes to the limits: rows and ranks are given away until one of them is used up.
std::vector<Segment> RandomMix(std::mt19937& random, const LoraSiteShape& site,
                               const LoraStepLimits& limits) {
  const int32_t most = std::min(limits.max_rows, limits.max_segments);
  std::vector<Segment> segments(static_cast<size_t>(Between(random, 1, most)));
  int32_t rows = limits.max_rows - static_cast<int32_t>(segments.size());
  int64_t ranks = limits.max_rank_sum;
  // Ranks just past a multiple of 8 make most items for what they are.
  const int32_t habit = Between(random, 0, 3);
  for (Segment& segment : segments) {
    const int32_t share = std::max(1, 2 * limits.max_rows / most);
    const int32_t more = Between(random, 0, std::min(rows, Between(random, 0, 1) * share));
    segment.rows += more;
    rows -= more;
    const auto largest = static_cast<int32_t>(std::min<int64_t>(limits.max_rank, ranks));
    int32_t rank = Between(random, 0, largest);
    if (habit == 1) rank = std::min(largest, 8 * Between(random, 0, 5) + 1);
    if (habit == 2) rank = std::min(largest, 33);
    for (int32_t m = 0; m < site.num_modules; ++m) {
      segment.ranks.push_back(m == 0 || Between(random, 0, 3) > 0 ? rank
                                                                  : Between(random, 0, rank));
    }
    ranks -= rank;
  }
  segments[static_cast<size_t>(Between(random, 0, static_cast<int32_t>(segments.size()) - 1))]
      .rows += Between(random, 0, 1) * rows;
  return segments;
}

TEST(LoraCapacityTest, EveryLegalMixFits) {
  const uint32_t seed = 20261126;
  std::mt19937 random(seed);
  double closest = 0.0;
  double closest_cluster = 0.0;
  for (int i = 0; i < 20000; ++i) {
    LoraStepLimits limits{.max_rows = Between(random, 1, 600),
                          .max_segments = Between(random, 1, 130),
                          .max_rank = Between(random, 1, kMaxLoraRank)};
    limits.max_rank_sum = Between(random, limits.max_rank, 8192);
    const LoraSiteShape site =
        i % 2 == 0 ? (i % 4 == 0 ? kQkv : kGateUp)
                   : Site(8 * Between(random, 1, 600),
                          {8 * Between(random, 1, 900), 8 * Between(random, 1, 100)});
    const int32_t planes = Between(random, 0, 1) == 0 ? 16 : 4;
    const Items items = ItemsOf(site, RandomMix(random, site, limits), planes);
    const int32_t shrinks = MaxShrinkItems(site, planes, limits);
    const int32_t expands = MaxExpandItems(site, limits);
    ASSERT_LE(items.shrink, shrinks) << "seed " << seed << ", mix " << i;
    ASSERT_LE(items.expand, expands) << "seed " << seed << ", mix " << i;
    const int32_t steps = MaxClusterSteps(site, 8, limits);
    ASSERT_LE(items.cluster, steps) << "seed " << seed << ", mix " << i;
    closest_cluster = std::max(closest_cluster, static_cast<double>(items.cluster) / steps);
    closest = std::max({closest, static_cast<double>(items.shrink) / shrinks,
                        static_cast<double>(items.expand) / expands});
  }
  EXPECT_EQ(closest, 1.0);  // some lists are full to the last item
  EXPECT_EQ(closest_cluster, 1.0);
}

TEST(LoraCapacityTest, TheWorstMixFillsItsList) {
  const LoraStepLimits limits{
      .max_rows = 512, .max_segments = 128, .max_rank = 256, .max_rank_sum = 8192};
  // 128 segments; 384 rows are left, whose 24 further pieces are all of one of them.
  std::vector<Segment> segments(128, {.rows = 1, .ranks = {64, 64, 64}});
  segments[5].rows += 384;
  EXPECT_EQ(ItemsOf(kGateUp, segments, 4).expand, MaxExpandItems(kGateUp, limits));
  EXPECT_EQ(ItemsOf(kQkv, segments, 4).expand, MaxExpandItems(kQkv, limits));
  EXPECT_EQ(ItemsOf(kDown, segments, 4).shrink, MaxShrinkItems(kDown, 4, limits));
}

TEST(LoraCapacityTest, FewRanksMakeFewItems) {
  // 16 segments share 40 ranks: more items than 16 of rank 1, far fewer than 16 of rank 33.
  const LoraStepLimits limits{
      .max_rows = 16, .max_segments = 16, .max_rank = 256, .max_rank_sum = 40};
  std::vector<Segment> segments(16, {.rows = 1, .ranks = {1}});
  segments[3].ranks = {25};  // 15 + 25
  EXPECT_LE(ItemsOf(kO, segments, 16).expand, MaxExpandItems(kO, limits));
  EXPECT_LT(MaxExpandItems(kO, limits), 16 * ExpandItems(4096, 33) / 3);
}

// The table in kernels/DESIGN.md: 512 rows, 64 adapters that may each decode and prefill.
TEST(LoraCapacityTest, ListsOfLlama3) {
  const LoraStepLimits many{
      .max_rows = 512, .max_segments = 128, .max_rank = 256, .max_rank_sum = 2 * 4096};
  LoraStepLimits few = many;
  few.max_rows = 64;
  int64_t items = 0;
  const auto expect = [&](const LoraSiteShape& site, int32_t shrinks, int32_t expands) {
    EXPECT_EQ(std::max(MaxShrinkItems(site, 16, few), MaxShrinkItems(site, 4, many)), shrinks);
    EXPECT_EQ(MaxExpandItems(site, many), expands);
    items += shrinks + expands;
  };
  expect(kQkv, 64 * 3 * 16, 152 * 24);
  expect(kO, 64 * 16, 152 * 16);
  expect(kGateUp, 64 * 2 * 16, 152 * 2 * 56);
  expect(kDown, 64 * 16, 152 * 16);
  EXPECT_EQ(items * 32 * static_cast<int64_t>(sizeof(LoraItem)), 50'233'344);
  // In clusters of 8: ranks 81 and more make three units of qkv, 129 and more two of gate and up.
  EXPECT_EQ(MaxClusterSteps(kQkv, 8, many), 401 * UnitSteps(8, 3));
  EXPECT_EQ(MaxClusterSteps(kO, 8, many), 152 * UnitSteps(8, 1));
  EXPECT_EQ(MaxClusterSteps(kGateUp, 8, many), 239 * UnitSteps(8, 2));
}

}  // namespace
}  // namespace chorus::kernels
