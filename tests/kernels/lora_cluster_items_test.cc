// The cut for clusters of thread blocks: every part of every module once, whatever widths and
// ranks.
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/lora/cluster_items.h"

namespace chorus::kernels {
namespace {

constexpr uint32_t kSeed = 20261126;

int32_t Between(std::mt19937& random, int32_t least, int32_t most) {
  return std::uniform_int_distribution<int32_t>(least, most)(random);
}

// Parts follow one another, differ by at most a block, and their turns reach their end.
void CheckParts(const std::vector<LoraItem>& parts, int32_t width, int32_t first_tile,
                bool expand) {
  int32_t end = 0;
  for (const LoraItem& part : parts) {
    ASSERT_EQ(part.first_block, end);
    ASSERT_EQ(part.first_tile, first_tile + end * part.rank_blocks);
    end = part.end_block;
    const int32_t blocks = part.end_block - part.first_block;
    ASSERT_LE(blocks, DivideUp<int32_t>(WidthBlocks(width), static_cast<int32_t>(parts.size())));
    ASSERT_EQ(part.blocks_log, parts[0].blocks_log);
    const int32_t of_turn = (expand ? kLoraWarps : 1 << part.warps_log) << part.blocks_log;
    ASSERT_GE(part.turns * of_turn, blocks);
    ASSERT_LT((part.turns - 1) * of_turn, blocks == 0 ? 1 : blocks);
    // A warp's tiles fit a turn.
    const int32_t of_warp = expand || part.warps_log == 3 ? part.rank_blocks : kWarpRankBlocks;
    if (!expand || part.rank_blocks <= kWarpTiles) {
      ASSERT_LE(of_warp << part.blocks_log, kWarpTiles);
    } else {
      ASSERT_EQ(part.blocks_log, 0);
    }
  }
  ASSERT_EQ(end, WidthBlocks(width));
}

TEST(LoraClusterItemsTest, PartsCoverAModuleOnce) {
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20000; ++i) {
    const LoraModuleEntry entry{.rank = Between(random, 1, kMaxLoraRank),
                                .scale = 0.5f,
                                .a_tile = Between(random, 0, 1000),
                                .b_tile = Between(random, 0, 1000),
                                .bias_tile = 77};
    const int32_t width = 8 * Between(random, 1, i % 2 == 0 ? 20 : 2000);
    const int32_t size = i % 4 < 2 ? 4 : 8;
    std::vector<LoraItem> shrinks, expands;
    for (int32_t block = 0; block < size; ++block) {
      shrinks.push_back(ClusterShrinkAt(entry, width, block, size));
      expands.push_back(ClusterExpandAt(entry, width, block, size));
    }
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", rank " << entry.rank << ", width "
                                    << width << ", cluster " << size);
    CheckParts(shrinks, width, entry.a_tile, false);
    CheckParts(expands, width, entry.b_tile, true);
    for (const std::vector<LoraItem>* parts : {&shrinks, &expands}) {
      for (const LoraItem& part : *parts) {
        ASSERT_LE(part.turns, MostClusterTurns(width, entry.rank, size));
      }
    }
    if (HasFatalFailure()) return;
    EXPECT_EQ(expands[0].scale, 0.5f);
    EXPECT_EQ(expands[0].bias_tile, 77);
  }
}

TEST(LoraClusterItemsTest, UnitsHoldModulesInOrderAsLongAsTheirRanksFit) {
  std::mt19937 random(kSeed + 1);
  int several = 0;
  for (int i = 0; i < 5000; ++i) {
    UnitCut cut;
    int32_t unit_pairs = 0;
    int32_t units = 0;
    for (int m = 0; m < kMaxSiteModules; ++m) {
      const int32_t rank = Between(random, 1, i % 2 == 0 ? kMaxLoraRank : 90);
      cut.Add(rank);
      const bool fits = units > 0 && unit_pairs + RankPairs(rank) <= kMaxRankPairs;
      EXPECT_EQ(cut.first_pair, fits ? unit_pairs : 0);
      units += fits ? 0 : 1;
      unit_pairs = (fits ? unit_pairs : 0) + RankPairs(rank);
      ASSERT_EQ(cut.units, units) << "seed " << kSeed + 1 << ", cut " << i;
      ASSERT_LE(unit_pairs, kMaxRankPairs);
    }
    several += units > 1 ? 1 : 0;
  }
  EXPECT_GT(several, 1000);
}

// Rank 16 at Llama-3-8B, as kernels/DESIGN.md counts it.
TEST(LoraClusterItemsTest, PartsOfLlama3) {
  const LoraModuleEntry entry{.rank = 16};
  for (const int32_t size : {4, 8}) {
    const LoraItem of_hidden = ClusterShrinkAt(entry, 4096, 0, size);
    EXPECT_EQ(of_hidden.turns, 1);
    EXPECT_EQ((of_hidden.end_block - of_hidden.first_block) * of_hidden.rank_blocks,
              size == 4 ? kLoraWarps * kWarpTiles : kLoraWarps * kWarpTiles / 2);
    EXPECT_EQ(ClusterExpandAt(entry, 4096, 0, size).turns, 1);
    EXPECT_EQ(ClusterExpandAt(entry, 1024, 0, size).turns, 1);
    EXPECT_EQ(ClusterExpandAt(entry, 14336, 0, size).turns, size == 4 ? 4 : 2);
    EXPECT_EQ(ClusterShrinkAt(entry, 14336, 0, size).turns, size == 4 ? 4 : 2);
  }
}

}  // namespace
}  // namespace chorus::kernels
