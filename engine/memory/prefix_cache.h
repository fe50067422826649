// PrefixCache: full pages of KV that any request with the same prefix may read instead of
// computing. A node is one page under its parent's; what hangs under it needs it. Engine thread
// only.
//
// Whoever holds a node's page holds the pages of all its ancestors too (Publish sees to it), so the
// idle nodes always form the bottom of the tree and every idle page can be reclaimed, leaves first.
//
// Prefixes hang under their owner: its deletion takes them all, and while an adapter is out of the
// pool they are worth half, because who wants them has to wait for it as well.
#ifndef CHORUS_ENGINE_MEMORY_PREFIX_CACHE_H_
#define CHORUS_ENGINE_MEMORY_PREFIX_CACHE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/prefix_key.h"
#include "engine/memory/reclaim_order.h"
#include "engine/memory/reclaimer.h"

namespace chorus::engine {

// Who owns a prefix beside its tenant: an adapter in use, so that its deletion finds all its pages.
// 0 is the base model.
using PrefixOwner = uint64_t;

class PrefixCache : public ReclaimSource, private IdleObserver {
 public:
  // Both outlive the cache.
  PrefixCache(PagePool* pool, ReclaimOrder* order);
  ~PrefixCache() override;

  // Shares the longest run of cached pages among `keys` and counts a use of each.
  PageLease Match(std::span<const PrefixKey> keys);
  // How many of `keys` are cached, from the first on.
  int64_t MatchLength(std::span<const PrefixKey> keys) const;

  // How many pages of a cached run nobody uses now: they stop being reclaimable when it is matched.
  // REQUIRES: all of `keys` are cached.
  int64_t IdlePages(std::span<const PrefixKey> keys) const;

  // A cached page that nobody uses now.
  struct IdlePage {
    PageId page = 0;
    PrefixOwner owner = 0;
  };
  std::optional<IdlePage> FindIdle(const PrefixKey& key) const;

  // Enters pages of `lease` from page `first` on: page i has key keys[i]. A page whose key is
  // cached already is replaced in the lease by the cached one, which holds the same KV.
  // REQUIRES: keys[0 … first) are cached and their pages are those of the lease.
  void Publish(std::span<const PrefixKey> keys, int64_t first, PrefixOwner owner, PageLease* lease);

  // Forgets all pages of an owner: nobody finds them any more; pages in use stay with their users.
  void Forget(PrefixOwner owner);

  // The owner's adapter has left the pool: its pages are worth half until they are used again.
  void Orphan(PrefixOwner owner);

  // What it takes to compute a page again.
  void SetPageSeconds(double seconds) { page_seconds_ = seconds; }

  int64_t num_pages() const { return static_cast<int64_t>(nodes_.size()); }
  uint64_t num_evictions() const { return num_evictions_; }

  std::optional<double> CheapestWorth(ReclaimRank rank) const override;
  void ReclaimCheapest(ReclaimRank rank) override;
  int64_t ReclaimablePages(ReclaimRank rank) const override;

 private:
  // Low, so that what was cached before anything was measured is not kept for too long.
  static constexpr double kUnmeasuredPageSeconds = 2e-4;

  struct Node {
    PrefixKey key;
    Node* parent = nullptr;
    PageLease page;
    PrefixOwner owner = 0;
    int32_t uses = 0;  // after the first
    int64_t children = 0;
    uint64_t serial = 0;  // of creation; breaks ties, so that runs repeat exactly
    Worth worth;          // since it is idle
    std::optional<std::pair<double, uint64_t>> filed;  // its key among the idle leaves
  };

  void OnIdle(PageId id) override;
  void OnBusy(PageId id) override;
  // To be called when anything has changed that the order of idle leaves depends on.
  void File(Node* node);
  void Remove(Node* node);
  static uint64_t IdOf(const PrefixKey& key);

  PagePool* const pool_;
  ReclaimOrder* const order_;
  ReuseHistory history_;
  double page_seconds_ = kUnmeasuredPageSeconds;
  absl::flat_hash_map<PrefixKey, std::unique_ptr<Node>> nodes_;
  std::vector<Node*> by_page_;                                             // [page ids]
  absl::flat_hash_map<PrefixOwner, absl::flat_hash_set<Node*>> by_owner_;  // owners but the base
  std::map<std::pair<double, uint64_t>, Node*> idle_leaves_;               // by worth and serial
  uint64_t next_serial_ = 0;
  uint64_t num_evictions_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_PREFIX_CACHE_H_
