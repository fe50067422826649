// PrefixCache: full pages of KV that any request with the same prefix may read instead of
// computing. A node is one page under its parent's; what hangs under it needs it. Engine thread
// only.
//
// Whoever holds a node's page holds the pages of all its ancestors too (Publish sees to it), so the
// idle nodes always form the bottom of the tree and every idle page can be reclaimed, leaves first.
#ifndef CHORUS_ENGINE_MEMORY_PREFIX_CACHE_H_
#define CHORUS_ENGINE_MEMORY_PREFIX_CACHE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/prefix_key.h"
#include "engine/memory/reclaimer.h"

namespace chorus::engine {

// Who owns a prefix beside its tenant: an adapter in use, so that its deletion finds all its pages.
// 0 is the base model.
using PrefixOwner = uint64_t;

class PrefixCache : public ReclaimSource {
 public:
  explicit PrefixCache(PagePool* pool) : pool_(pool) {}
  ~PrefixCache() override;

  // Shares the longest run of cached pages among `keys` and marks it as used.
  PageLease Match(std::span<const PrefixKey> keys, uint64_t epoch);
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
  void Publish(std::span<const PrefixKey> keys, int64_t first, PrefixOwner owner, PageLease* lease,
               uint64_t epoch);

  // Forgets all pages of an owner: nobody finds them any more; pages in use stay with their users.
  void Forget(PrefixOwner owner);

  int64_t num_pages() const { return static_cast<int64_t>(nodes_.size()); }
  uint64_t num_evictions() const { return num_evictions_; }

  std::optional<double> CheapestWorth(uint64_t epoch, ReclaimRank rank) override;
  void ReclaimCheapest(uint64_t epoch, ReclaimRank rank) override;
  int64_t ReclaimablePages(ReclaimRank rank) const override;

 private:
  struct Node {
    PrefixKey key;
    Node* parent = nullptr;
    PageLease page;
    PrefixOwner owner = 0;
    uint64_t last_epoch = 0;
    uint64_t serial = 0;  // of creation; breaks ties, so that runs repeat exactly
    int64_t children = 0;
  };
  struct LeafOrder {
    bool operator()(const Node* a, const Node* b) const {
      return a->last_epoch != b->last_epoch ? a->last_epoch < b->last_epoch : a->serial < b->serial;
    }
  };

  void Touch(Node* node, uint64_t epoch);
  void Remove(Node* node);
  Node* OldestIdleLeaf();

  PagePool* const pool_;
  absl::flat_hash_map<PrefixKey, std::unique_ptr<Node>> nodes_;
  absl::flat_hash_map<PrefixOwner, absl::flat_hash_set<Node*>> by_owner_;  // owners but the base
  std::set<Node*, LeafOrder> leaves_;
  uint64_t next_serial_ = 0;
  uint64_t num_evictions_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_PREFIX_CACHE_H_
