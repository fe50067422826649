#include "engine/memory/prefix_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/check.h"

namespace chorus::engine {
namespace {

// Pages that were given up whose uses are remembered, at most: some 50 bytes each.
constexpr int64_t kMaxRemembered = 1 << 17;
// What is left of a page's gain while its adapter is not there.
constexpr double kOrphanShare = 0.5;

}  // namespace

PrefixCache::PrefixCache(PagePool* pool, ReclaimOrder* order)
    : pool_(pool),
      order_(order),
      history_(std::min(2 * pool->num_pages(), kMaxRemembered)),
      by_page_(static_cast<size_t>(pool->view().num_ids), nullptr) {
  pool_->Observe(this);
}

PrefixCache::~PrefixCache() {
  pool_->Observe(nullptr);
  for (auto& [key, node] : nodes_) pool_->SetCached(node->page[0], false);
}

PageLease PrefixCache::Match(std::span<const PrefixKey> keys) {
  PageLease lease;
  for (const PrefixKey& key : keys) {
    const auto found = nodes_.find(key);
    if (found == nodes_.end()) break;
    history_.Use(&found->second->uses);
    lease.Append(pool_->Share(found->second->page[0]));
  }
  return lease;
}

int64_t PrefixCache::MatchLength(std::span<const PrefixKey> keys) const {
  int64_t length = 0;
  while (length < static_cast<int64_t>(keys.size()) &&
         nodes_.contains(keys[static_cast<size_t>(length)])) {
    ++length;
  }
  return length;
}

int64_t PrefixCache::IdlePages(std::span<const PrefixKey> keys) const {
  int64_t idle = 0;
  for (const PrefixKey& key : keys) {
    if (pool_->count(nodes_.at(key)->page[0]) == 1) ++idle;
  }
  return idle;
}

std::optional<PrefixCache::IdlePage> PrefixCache::FindIdle(const PrefixKey& key) const {
  const auto found = nodes_.find(key);
  if (found == nodes_.end()) return std::nullopt;
  const PageId page = found->second->page[0];
  if (!pool_->idle(page)) return std::nullopt;
  return IdlePage{page, found->second->owner};
}

void PrefixCache::Publish(std::span<const PrefixKey> keys, int64_t first, PrefixOwner owner,
                          PageLease* lease) {
  Node* parent = nullptr;
  if (first > 0) {
    const auto found = nodes_.find(keys[static_cast<size_t>(first - 1)]);
    // Forgotten while its user ran: what follows must stay unknown too.
    if (found == nodes_.end() || found->second->page[0] != (*lease)[first - 1]) return;
    parent = found->second.get();
  }
  for (int64_t i = first; i < static_cast<int64_t>(keys.size()); ++i) {
    std::unique_ptr<Node>& node = nodes_[keys[static_cast<size_t>(i)]];
    if (node != nullptr) {
      history_.Use(&node->uses);
      if (node->page[0] != (*lease)[i]) lease->Replace(i, pool_->Share(node->page[0]));
    } else {
      node = std::make_unique<Node>();
      node->key = keys[static_cast<size_t>(i)];
      node->parent = parent;
      node->page = pool_->Share((*lease)[i]);
      node->owner = owner;
      node->uses = history_.Enter(IdOf(node->key));
      node->serial = next_serial_++;
      by_page_[static_cast<size_t>((*lease)[i])] = node.get();
      pool_->SetCached((*lease)[i], true);
      if (parent != nullptr) ++parent->children;
      if (owner != 0) by_owner_[owner].insert(node.get());
    }
    parent = node.get();
  }
}

void PrefixCache::Forget(PrefixOwner owner) {
  const auto found = by_owner_.find(owner);
  if (found == by_owner_.end()) return;
  // An owner's nodes have no children of another owner, so leaves first empties all.
  std::vector<Node*> nodes(found->second.begin(), found->second.end());
  while (!nodes.empty()) {
    std::vector<Node*> rest;
    for (Node* node : nodes) {
      if (node->children > 0) {
        rest.push_back(node);
      } else {
        Remove(node);
      }
    }
    CHORUS_CHECK_LT(rest.size(), nodes.size());
    nodes = std::move(rest);
  }
}

void PrefixCache::Orphan(PrefixOwner owner) {
  const auto found = by_owner_.find(owner);
  if (found == by_owner_.end()) return;
  for (Node* node : found->second) {
    node->worth.gain *= kOrphanShare;
    File(node);
  }
}

std::optional<double> PrefixCache::CheapestWorth(ReclaimRank) const {
  if (idle_leaves_.empty()) return std::nullopt;
  return idle_leaves_.begin()->first.first;
}

void PrefixCache::ReclaimCheapest(ReclaimRank) {
  CHORUS_CHECK(!idle_leaves_.empty());
  Node* const node = idle_leaves_.begin()->second;
  ++num_evictions_;
  order_->GaveUp(node->worth);
  history_.Leave(IdOf(node->key), node->uses);
  Remove(node);
}

int64_t PrefixCache::ReclaimablePages(ReclaimRank) const { return pool_->num_idle(); }

void PrefixCache::OnIdle(PageId id) {
  Node* const node = by_page_[static_cast<size_t>(id)];
  node->worth = order_->Of(history_.Estimate(node->uses), page_seconds_);
  File(node);
}

void PrefixCache::OnBusy(PageId id) { File(by_page_[static_cast<size_t>(id)]); }

void PrefixCache::File(Node* node) {
  if (node->filed.has_value()) {
    idle_leaves_.erase(*node->filed);
    node->filed.reset();
  }
  if (node->children > 0 || !pool_->idle(node->page[0])) return;
  node->filed = {node->worth.total(), node->serial};
  idle_leaves_[*node->filed] = node;
}

void PrefixCache::Remove(Node* node) {
  CHORUS_CHECK_EQ(node->children, 0);
  if (node->owner != 0) {
    const auto owned = by_owner_.find(node->owner);
    owned->second.erase(node);
    if (owned->second.empty()) by_owner_.erase(owned);
  }
  pool_->SetCached(node->page[0], false);
  File(node);
  by_page_[static_cast<size_t>(node->page[0])] = nullptr;
  Node* const parent = node->parent;
  nodes_.erase(PrefixKey(node->key));
  if (parent != nullptr && --parent->children == 0) File(parent);
}

uint64_t PrefixCache::IdOf(const PrefixKey& key) {
  uint64_t id;
  std::memcpy(&id, key.bytes.data(), sizeof(id));
  return id;
}

}  // namespace chorus::engine
