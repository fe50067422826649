#include "kernels/lora/list_capacity.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/check.h"

namespace chorus::kernels {
namespace {

// A piece of a segment of rank `rank` makes up to `items`.
struct Corner {
  int64_t rank;
  int64_t items;
};

// The upper hull of items by rank, from (0, 0) on: items as if ranks could be shared out in
// fractions, which are never fewer. `items_of`: of a module at a rank.
template <class ItemsOf>
std::vector<Corner> Hull(const LoraSiteShape& site, int32_t max_rank, const ItemsOf& items_of) {
  std::vector<int64_t> most(static_cast<size_t>(site.num_modules), 0);  // up to the rank
  std::vector<Corner> hull = {{0, 0}};
  for (int32_t rank = 1; rank <= max_rank; ++rank) {
    Corner next{rank, 0};
    for (int32_t m = 0; m < site.num_modules; ++m) {
      int64_t& of_module = most[static_cast<size_t>(m)];
      of_module = std::max<int64_t>(of_module, items_of(m, rank));
      next.items += of_module;
    }
    if (next.items == hull.back().items) continue;
    // A corner under the line from the one before it to the next is none.
    const auto is_under = [&] {
      const Corner& a = hull[hull.size() - 2];
      const Corner& b = hull.back();
      return (b.items - a.items) * (next.rank - a.rank) <=
             (next.items - a.items) * (b.rank - a.rank);
    };
    while (hull.size() > 1 && is_under()) hull.pop_back();
    hull.push_back(next);
  }
  return hull;
}

// Most items of `segments` pieces whose ranks add up to at most `rank_sum`.
int64_t MostItems(const std::vector<Corner>& hull, int64_t segments, int64_t rank_sum) {
  int64_t items = 0;
  for (size_t c = 1; c < hull.size(); ++c) {
    const int64_t ranks = hull[c].rank - hull[c - 1].rank;
    const int64_t more = hull[c].items - hull[c - 1].items;
    if (rank_sum < segments * ranks) return items + rank_sum * more / ranks;
    rank_sum -= segments * ranks;
    items += segments * more;
  }
  return items;
}

// Every segment has a piece, and every kPieceRows of the rows left are one more, of the widest.
int32_t MostItems(const std::vector<Corner>& hull, const LoraStepLimits& limits) {
  int64_t most = 1;
  for (int64_t segments = 1; segments <= std::min(limits.max_segments, limits.max_rows);
       ++segments) {
    const int64_t further_pieces = (limits.max_rows - segments) / kPieceRows;
    most = std::max(
        most, MostItems(hull, segments, limits.max_rank_sum) + further_pieces * hull.back().items);
  }
  CHORUS_CHECK(most <= std::numeric_limits<int32_t>::max());
  return static_cast<int32_t>(most);
}

}  // namespace

int32_t MaxShrinkItems(const LoraSiteShape& site, int32_t max_planes,
                       const LoraStepLimits& limits) {
  return MostItems(
      Hull(site, limits.max_rank,
           [&](int32_t, int32_t rank) { return ShrinkItems(site.inputs, rank, max_planes); }),
      limits);
}

int32_t MaxExpandItems(const LoraSiteShape& site, const LoraStepLimits& limits) {
  return MostItems(
      Hull(site, limits.max_rank,
           [&](int32_t m, int32_t rank) { return ExpandItems(site.y_width[m], rank); }),
      limits);
}

// Where the ranks of all modules fit together, a piece is one unit; else it may be one a module.
int32_t MaxClusterSteps(const LoraSiteShape& site, int32_t cluster_blocks,
                        const LoraStepLimits& limits) {
  const auto units_of = [&](int32_t m, int32_t rank) {
    return m == 0 || RankPairs(rank) * site.num_modules > kMaxRankPairs ? 1 : 0;
  };
  return MostItems(Hull(site, limits.max_rank, units_of), limits) *
         UnitSteps(cluster_blocks, site.num_modules);
}

}  // namespace chorus::kernels
