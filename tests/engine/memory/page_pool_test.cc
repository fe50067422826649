#include "engine/memory/page_pool.h"

#include <algorithm>
#include <map>
#include <random>

#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

kernels::PoolView Pages(int64_t count) {
  return {.base = nullptr, .num_ids = count, .num_slabs = 2, .kv_heads = 1, .head_dim = 8};
}

TEST(PagePoolTest, AcquireLeavesPoolUnchangedWhenFull) {
  PagePool pool(Pages(4));
  PageLease three = *pool.Acquire(3);
  EXPECT_EQ(pool.Acquire(2).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_TRUE(pool.Acquire(1).ok());
}

TEST(PagePoolTest, LeasesAreAscending) {
  PagePool pool(Pages(16));
  PageLease a = *pool.Acquire(5);
  PageLease b = *pool.Acquire(5);
  a.Release();
  PageLease c = *pool.Acquire(7);
  EXPECT_TRUE(std::is_sorted(c.ids().begin(), c.ids().end()));
}

TEST(PagePoolTest, SharedPageComesBackWithTheLastLease) {
  PagePool pool(Pages(1));
  PageLease first = *pool.Acquire(1);
  PageLease second = pool.Share(first[0]);
  first.Release();
  EXPECT_EQ(pool.num_free(), 0);
  second.Release();
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(PagePoolTest, PagesReleasedDuringAStepDrainUntilItEnds) {
  PagePool pool(Pages(2));
  PageLease lease = *pool.Acquire(2);
  pool.BeginStep(1);
  lease.TakeFrom(1);
  EXPECT_EQ(pool.num_free(), 0);
  EXPECT_EQ(pool.num_draining(), 1);
  pool.EndStep(1);
  EXPECT_EQ(pool.num_free(), 1);
  lease.Release();  // no step runs: at once
  EXPECT_EQ(pool.num_free(), 2);
}

TEST(PagePoolTest, IdleCountsCachedPagesThatNobodyElseHolds) {
  PagePool pool(Pages(2));
  PageLease cache = *pool.Acquire(1);
  pool.SetCached(cache[0], true);
  EXPECT_EQ(pool.num_idle(), 1);
  PageLease user = pool.Share(cache[0]);
  EXPECT_EQ(pool.num_idle(), 0);
  user.Release();
  EXPECT_EQ(pool.num_idle(), 1);
  pool.SetCached(cache[0], false);
  EXPECT_EQ(pool.num_idle(), 0);
}

TEST(PagePoolTest, ReplaceSwapsOnePage) {
  PagePool pool(Pages(3));
  PageLease lease = *pool.Acquire(2);
  PageLease other = *pool.Acquire(1);
  const PageId was = lease[1], is = other[0];
  PageLease back = lease.Replace(1, std::move(other));
  EXPECT_EQ(lease[1], is);
  EXPECT_EQ(back[0], was);
}

// A pool against a plain map of counts, over random operations.
TEST(PagePoolTest, RandomOperationsAgreeWithAModel) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    PagePool pool(Pages(24));
    std::vector<PageLease> leases;
    std::map<PageId, int> model;
    uint64_t epoch = 0;
    bool running = false;
    size_t draining = 0;
    const auto drop = [&](std::span<const PageId> ids) {
      for (PageId id : ids) {
        if (--model[id] == 0) {
          model.erase(id);
          draining += running ? 1 : 0;
        }
      }
    };
    for (int i = 0; i < 2000; ++i) {
      const size_t action = below(5);
      if (action == 0) {
        const auto count = static_cast<int64_t>(below(6));
        const int64_t free = pool.num_free();
        absl::StatusOr<PageLease> lease = pool.Acquire(count);
        ASSERT_EQ(lease.ok(), count <= free);
        if (lease.ok()) {
          for (PageId id : lease->ids()) ASSERT_EQ(model[id]++, 0) << "page " << id;
          leases.push_back(*std::move(lease));
        }
      } else if (action == 1 && !leases.empty()) {
        const PageLease& from = leases[below(leases.size())];
        if (from.empty()) continue;
        leases.push_back(pool.Share(from[static_cast<int64_t>(below(from.ids().size()))]));
        ++model[leases.back()[0]];
      } else if (action == 2 && !leases.empty()) {
        const size_t which = below(leases.size());
        drop(leases[which].ids());
        leases.erase(leases.begin() + static_cast<ptrdiff_t>(which));
      } else if (action == 3) {
        if (running) {
          pool.EndStep(epoch);
          draining = 0;
        } else {
          pool.BeginStep(++epoch);
        }
        running = !running;
      } else if (action == 4 && leases.size() > 1) {
        PageLease last = std::move(leases.back());
        leases.pop_back();
        leases[below(leases.size())].Append(std::move(last));
      }
      for (const auto& [id, count] : model) ASSERT_EQ(pool.count(id), count);
      ASSERT_EQ(pool.num_draining(), static_cast<int64_t>(draining));
      ASSERT_EQ(pool.num_free(), 24 - static_cast<int64_t>(model.size() + draining));
    }
  }
}

}  // namespace
}  // namespace chorus::engine
