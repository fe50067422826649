#include "engine/memory/reclaimer.h"

#include <vector>

#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

kernels::PoolView Pages(int64_t count) {
  return {.base = nullptr, .num_ids = count, .num_slabs = 1, .kv_heads = 1, .head_dim = 8};
}

// Leases of given worth, given back cheapest first; some only to whoever stands before `rank`.
class Shelf : public ReclaimSource {
 public:
  void Add(PageLease lease, double worth, ReclaimRank rank = 1000) {
    pieces_.push_back({std::move(lease), worth, rank});
  }
  std::optional<double> CheapestWorth(ReclaimRank rank) const override {
    const auto i = Cheapest(rank);
    return i < pieces_.size() ? std::optional(pieces_[i].worth) : std::nullopt;
  }
  void ReclaimCheapest(ReclaimRank rank) override {
    const auto i = Cheapest(rank);
    order_.push_back(pieces_[i].worth);
    pieces_.erase(pieces_.begin() + static_cast<ptrdiff_t>(i));
  }
  int64_t ReclaimablePages(ReclaimRank rank) const override {
    int64_t pages = 0;
    for (const Piece& piece : pieces_) pages += piece.rank > rank ? piece.lease.size() : 0;
    return pages;
  }
  const std::vector<double>& order() const { return order_; }

 private:
  struct Piece {
    PageLease lease;
    double worth;
    ReclaimRank rank;
  };
  size_t Cheapest(ReclaimRank rank) const {
    size_t best = pieces_.size();
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (pieces_[i].rank <= rank) continue;
      if (best == pieces_.size() || pieces_[i].worth < pieces_[best].worth) best = i;
    }
    return best;
  }
  std::vector<Piece> pieces_;
  std::vector<double> order_;
};

TEST(ReclaimerTest, TakesTheCheapestOfAllSourcesAndNoMoreThanNeeded) {
  PagePool pool(Pages(6));
  Shelf a, b;
  a.Add(*pool.Acquire(2), 1.0);
  a.Add(*pool.Acquire(1), 4.0);
  b.Add(*pool.Acquire(1), 2.0);
  b.Add(*pool.Acquire(2), 3.0);
  Reclaimer reclaimer(&pool);
  reclaimer.Register(&a);
  reclaimer.Register(&b);
  EXPECT_TRUE(reclaimer.MakeFree(3, kAnyone));
  EXPECT_EQ(pool.num_free(), 3);
  EXPECT_EQ(a.order(), std::vector<double>({1.0}));
  EXPECT_EQ(b.order(), std::vector<double>({2.0}));
}

TEST(ReclaimerTest, GivesNothingUpWhenAllWouldNotDo) {
  PagePool pool(Pages(4));
  PageLease held = *pool.Acquire(2);
  Shelf shelf;
  shelf.Add(*pool.Acquire(2), 1.0);
  Reclaimer reclaimer(&pool);
  reclaimer.Register(&shelf);
  EXPECT_FALSE(reclaimer.MakeFree(3, kAnyone));
  EXPECT_TRUE(shelf.order().empty());
}

TEST(ReclaimerTest, LeavesWhatARequestFurtherAheadWaitsFor) {
  PagePool pool(Pages(2));
  Shelf shelf;
  shelf.Add(*pool.Acquire(1), 1.0, /*rank=*/0);
  shelf.Add(*pool.Acquire(1), 9.0, /*rank=*/5);
  Reclaimer reclaimer(&pool);
  reclaimer.Register(&shelf);
  EXPECT_TRUE(reclaimer.MakeFree(1, 3));
  EXPECT_EQ(shelf.order(), std::vector<double>({9.0}));
  EXPECT_FALSE(reclaimer.MakeFree(2, 3));
  EXPECT_TRUE(reclaimer.MakeFree(2, kAnyone));
}

}  // namespace
}  // namespace chorus::engine
