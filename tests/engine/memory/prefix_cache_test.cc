#include "engine/memory/prefix_cache.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "engine/memory/reclaimer.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

constexpr int kTokens = kernels::kPageTokens;

kernels::PoolView Pages(int64_t count) {
  return {.base = nullptr, .num_ids = count, .num_slabs = 1, .kv_heads = 1, .head_dim = 8};
}

std::vector<int32_t> Tokens(std::initializer_list<int> pages) {
  std::vector<int32_t> tokens;
  for (int page : pages) tokens.insert(tokens.end(), kTokens, page);
  return tokens;
}

const PrefixChain kBase{.root = RootKey("tenant", "", "base"), .adapter = {}};

TEST(PrefixKeyTest, EveryFieldOfTheRootSeparates) {
  const PrefixKey root = RootKey("a", "b", "c");
  EXPECT_NE(root, RootKey("x", "b", "c"));
  EXPECT_NE(root, RootKey("a", "x", "c"));
  EXPECT_NE(root, RootKey("a", "b", "x"));
  EXPECT_NE(RootKey("ab", "", "c"), RootKey("a", "b", "c"));
}

TEST(PrefixKeyTest, AKeyStandsForAllTokensBeforeIt) {
  const auto a = PageKeys(kBase, Tokens({1, 2, 3}));
  const auto b = PageKeys(kBase, Tokens({1, 9, 3}));
  ASSERT_EQ(a.size(), 3u);
  EXPECT_EQ(a[0], b[0]);
  EXPECT_NE(a[1], b[1]);
  EXPECT_NE(a[2], b[2]);
}

TEST(PrefixKeyTest, APartialPageHasNoKey) {
  std::vector<int32_t> tokens = Tokens({1, 2});
  tokens.pop_back();
  EXPECT_EQ(PageKeys(kBase, tokens).size(), 1u);
}

// From the page on in which it becomes active, and only there.
TEST(PrefixKeyTest, AnAdapterJoinsTheChainWhereItBegins) {
  const std::vector<int32_t> tokens = Tokens({1, 2, 3, 4});
  const auto keys_of = [&](const std::string& digest, int64_t from) {
    return PageKeys({kBase.root, {{digest, from}}}, tokens);
  };
  const auto shared = [](const std::vector<PrefixKey>& a, const std::vector<PrefixKey>& b) {
    const auto pages = std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
    for (size_t i = static_cast<size_t>(pages); i < a.size(); ++i) EXPECT_NE(a[i], b[i]);
    return pages;
  };
  const auto base = PageKeys(kBase, tokens);
  for (int64_t from = 0; from <= 4 * kTokens; ++from) {
    SCOPED_TRACE(from);
    const int64_t pages = from / kTokens;
    EXPECT_EQ(PrefixChain({kBase.root, {{"a", from}}}).base_pages(), pages);
    EXPECT_EQ(shared(keys_of("a", from), base), pages);
    EXPECT_EQ(shared(keys_of("a", from), keys_of("b", from)), pages);
    EXPECT_EQ(shared(keys_of("a", from), keys_of("a", from)), 4);
    // One position later, in the same page too, is another KV.
    EXPECT_EQ(shared(keys_of("a", from), keys_of("a", from + 1)), pages);
  }
}

TEST(PrefixCacheTest, ForgettingAnAdapterLeavesTheBasesPagesBeforeIt) {
  PagePool pool(Pages(8));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const std::vector<int32_t> tokens = Tokens({1, 2, 3});
  const auto keys = PageKeys({kBase.root, {{"adapter", 2 * kTokens}}}, tokens);
  PageLease lease = *pool.Acquire(3);
  cache.Publish(std::span(keys).first(2), 0, 0, &lease);
  cache.Publish(keys, 2, 7, &lease);
  EXPECT_EQ(cache.MatchLength(keys), 3);
  EXPECT_EQ(cache.MatchLength(PageKeys(kBase, tokens)), 2);
  cache.Forget(7);
  EXPECT_EQ(cache.MatchLength(keys), 2);
  EXPECT_EQ(cache.MatchLength(PageKeys(kBase, tokens)), 2);
  lease.Release();
  EXPECT_EQ(pool.num_free(), 6);
  cache.ReclaimCheapest(kAnyone);  // what was a parent is a leaf again
  EXPECT_EQ(cache.MatchLength(keys), 1);
}

TEST(PrefixCacheTest, MatchFindsTheLongestPublishedRun) {
  PagePool pool(Pages(8));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const auto keys = PageKeys(kBase, Tokens({1, 2, 3}));
  PageLease lease = *pool.Acquire(2);
  cache.Publish(std::span(keys).first(2), 0, 0, &lease);
  EXPECT_EQ(cache.MatchLength(keys), 2);
  PageLease match = cache.Match(keys);
  ASSERT_EQ(match.size(), 2);
  EXPECT_EQ(match[0], lease[0]);
  EXPECT_EQ(match[1], lease[1]);
}

TEST(PrefixCacheTest, ASecondComputationAdoptsTheCachedPage) {
  PagePool pool(Pages(8));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const auto keys = PageKeys(kBase, Tokens({1, 2}));
  PageLease first = *pool.Acquire(1);
  cache.Publish(std::span(keys).first(1), 0, 0, &first);
  PageLease second = *pool.Acquire(2);
  cache.Publish(keys, 0, 0, &second);
  EXPECT_EQ(second[0], first[0]);
  EXPECT_EQ(pool.num_free(), 6);  // the duplicate came back
}

TEST(PrefixCacheTest, ReclaimsLeavesOldestFirstAndNeverPagesInUse) {
  PagePool pool(Pages(8));
  ReclaimOrder order(ReclaimPolicy::kLru);
  PrefixCache cache(&pool, &order);
  const auto old_keys = PageKeys(kBase, Tokens({1, 2}));
  const auto new_keys = PageKeys(kBase, Tokens({3}));
  PageLease old_lease = *pool.Acquire(2);
  PageLease new_lease = *pool.Acquire(1);
  cache.Publish(old_keys, 0, 0, &old_lease);
  cache.Publish(new_keys, 0, 0, &new_lease);
  EXPECT_FALSE(cache.CheapestWorth(kAnyone).has_value());
  old_lease.Release();
  new_lease.Release();
  EXPECT_EQ(cache.ReclaimablePages(kAnyone), 3);
  cache.ReclaimCheapest(kAnyone);
  EXPECT_EQ(cache.MatchLength(old_keys), 1);  // the leaf went, its parent stays
  cache.ReclaimCheapest(kAnyone);
  EXPECT_EQ(cache.MatchLength(old_keys), 0);
  EXPECT_EQ(cache.MatchLength(new_keys), 1);
}

// Puts a prefix into the cache, idle.
void Compute(PagePool* pool, PrefixCache* cache, const std::vector<PrefixKey>& keys) {
  PageLease lease = cache->Match(keys);
  const int64_t cached = lease.size();
  lease.Append(*pool->Acquire(static_cast<int64_t>(keys.size()) - cached));
  cache->Publish(keys, cached, 0, &lease);
}

TEST(PrefixCacheTest, WhatWasUsedAgainOutlivesNewerPagesThatWereNot) {
  PagePool pool(Pages(16));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const auto shared = PageKeys(kBase, Tokens({1, 2}));
  Compute(&pool, &cache, shared);
  Compute(&pool, &cache, PageKeys(kBase, Tokens({1, 2, 3})));
  for (int tail = 10; tail < 15; ++tail) Compute(&pool, &cache, PageKeys(kBase, Tokens({tail})));
  for (int i = 0; i < 6; ++i) cache.ReclaimCheapest(kAnyone);
  EXPECT_EQ(cache.num_pages(), 2);
  EXPECT_EQ(cache.MatchLength(shared), 2);
}

TEST(PrefixCacheTest, UsesOfWhatWasGivenUpAreRememberedForAWhile) {
  PagePool pool(Pages(4));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const auto often = PageKeys(kBase, Tokens({1}));
  const auto once = PageKeys(kBase, Tokens({2}));
  for (int i = 0; i < 3; ++i) {
    Compute(&pool, &cache, often);
    cache.ReclaimCheapest(kAnyone);
  }
  Compute(&pool, &cache, often);
  Compute(&pool, &cache, once);
  cache.ReclaimCheapest(kAnyone);
  EXPECT_EQ(cache.MatchLength(often), 1);
  EXPECT_EQ(cache.MatchLength(once), 0);
}

// A page of another owner may hang under the base's: what an adapter computes after a shared
// beginning.
TEST(PrefixCacheTest, ForgettingAnOwnerLeavesTheBasesPagesAboveItsOwn) {
  PagePool pool(Pages(8));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const auto keys = PageKeys(kBase, Tokens({1, 2}));
  PageLease lease = *pool.Acquire(2);
  cache.Publish(std::span(keys).first(1), 0, 0, &lease);
  cache.Publish(keys, 1, 7, &lease);
  lease.Release();
  cache.Orphan(7);
  cache.Forget(7);
  EXPECT_EQ(cache.MatchLength(keys), 1);
  cache.ReclaimCheapest(kAnyone);
  EXPECT_EQ(pool.num_free(), 8);
}

TEST(PrefixCacheTest, ForgetHidesAnOwnersPagesEvenThoseInUse) {
  PagePool pool(Pages(8));
  ReclaimOrder order;
  PrefixCache cache(&pool, &order);
  const auto keys = PageKeys({kBase.root, {{"adapter", 0}}}, Tokens({1, 2, 3}));
  PageLease lease = *pool.Acquire(3);
  cache.Publish(std::span(keys).first(2), 0, 7, &lease);
  cache.Forget(7);
  EXPECT_EQ(cache.num_pages(), 0);
  cache.Publish(keys, 2, 7, &lease);  // what its user computes later stays unknown too
  EXPECT_EQ(cache.num_pages(), 0);
  lease.Release();
  EXPECT_EQ(pool.num_free(), 8);
}

// Random publishing, matching and reclaiming against a map of what should be found: every match is
// a run of published pages with the right content, and idle pages can always all be reclaimed.
TEST(PrefixCacheTest, RandomUseAgreesWithAModel) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    PagePool pool(Pages(20));
    ReclaimOrder order(seed % 2 == 0 ? ReclaimPolicy::kCost : ReclaimPolicy::kLru);
    PrefixCache cache(&pool, &order);
    Reclaimer reclaimer(&pool);
    reclaimer.Register(&cache);
    std::map<PageId, PrefixKey> content;  // what the page's writer computed
    struct User {
      std::vector<PrefixKey> keys;
      PageLease lease;
      int64_t published;
    };
    std::vector<User> users;
    for (uint64_t epoch = 1; epoch <= 600; ++epoch) {
      if (random() % 2 == 0) {
        std::vector<int32_t> tokens;
        for (uint32_t page = random() % 5 + 1; page > 0; --page) {
          tokens.insert(tokens.end(), kTokens, static_cast<int32_t>(random() % 2));
        }
        User user{PageKeys(kBase, tokens), {}, 0};
        user.lease = cache.Match(user.keys);
        for (int64_t i = 0; i < user.lease.size(); ++i) {
          ASSERT_EQ(content.at(user.lease[i]), user.keys[static_cast<size_t>(i)]);
        }
        user.published = user.lease.size();
        const int64_t wanted = static_cast<int64_t>(user.keys.size()) - user.lease.size();
        if (!reclaimer.MakeFree(wanted, kAnyone)) continue;
        user.lease.Append(*pool.Acquire(wanted));
        for (int64_t i = user.published; i < user.lease.size(); ++i) {
          content[user.lease[i]] = user.keys[static_cast<size_t>(i)];
        }
        users.push_back(std::move(user));
      } else if (!users.empty()) {
        const size_t which = random() % users.size();
        User& user = users[which];
        const int64_t all = static_cast<int64_t>(user.keys.size());
        if (user.published < all) {
          const int64_t upto =
              user.published + 1 + static_cast<int64_t>(random()) % (all - user.published);
          cache.Publish(std::span(user.keys).first(static_cast<size_t>(upto)), user.published, 0,
                        &user.lease);
          user.published = upto;
        } else {
          users.erase(users.begin() + static_cast<ptrdiff_t>(which));
        }
      }
      int64_t held = 0;
      for (PageId id = 0; id < 20; ++id) held += pool.count(id) > 0 ? 1 : 0;
      ASSERT_EQ(pool.num_free(), 20 - held);
    }
    users.clear();
    ASSERT_TRUE(reclaimer.MakeFree(20, kAnyone));
    EXPECT_EQ(cache.num_pages(), 0);
  }
}

}  // namespace
}  // namespace chorus::engine
