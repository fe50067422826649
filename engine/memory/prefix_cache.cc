#include "engine/memory/prefix_cache.h"

#include <utility>
#include <vector>

#include "kernels/check.h"

namespace chorus::engine {

PrefixCache::~PrefixCache() {
  for (auto& [key, node] : nodes_) pool_->SetCached(node->page[0], false);
}

PageLease PrefixCache::Match(std::span<const PrefixKey> keys, uint64_t epoch) {
  PageLease lease;
  for (const PrefixKey& key : keys) {
    const auto found = nodes_.find(key);
    if (found == nodes_.end()) break;
    Touch(found->second.get(), epoch);
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
  if (pool_->count(page) != 1) return std::nullopt;
  return IdlePage{page, found->second->owner};
}

void PrefixCache::Publish(std::span<const PrefixKey> keys, int64_t first, PrefixOwner owner,
                          PageLease* lease, uint64_t epoch) {
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
      Touch(node.get(), epoch);
      if (node->page[0] != (*lease)[i]) lease->Replace(i, pool_->Share(node->page[0]));
    } else {
      node = std::make_unique<Node>();
      node->key = keys[static_cast<size_t>(i)];
      node->parent = parent;
      node->page = pool_->Share((*lease)[i]);
      node->owner = owner;
      node->last_epoch = epoch;
      node->serial = next_serial_++;
      pool_->SetCached((*lease)[i], true);
      if (parent != nullptr && parent->children++ == 0) leaves_.erase(parent);
      leaves_.insert(node.get());
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

std::optional<double> PrefixCache::CheapestWorth(uint64_t epoch, ReclaimRank) {
  const Node* leaf = OldestIdleLeaf();
  if (leaf == nullptr) return std::nullopt;
  return PageWorth(kernels::kPageTokens, leaf->last_epoch, epoch);
}

void PrefixCache::ReclaimCheapest(uint64_t, ReclaimRank) {
  Node* leaf = OldestIdleLeaf();
  CHORUS_CHECK(leaf != nullptr);
  ++num_evictions_;
  Remove(leaf);
}

int64_t PrefixCache::ReclaimablePages(ReclaimRank) const { return pool_->num_idle(); }

void PrefixCache::Touch(Node* node, uint64_t epoch) {
  if (node->last_epoch == epoch) return;
  const bool leaf = node->children == 0;
  if (leaf) leaves_.erase(node);
  node->last_epoch = epoch;
  if (leaf) leaves_.insert(node);
}

void PrefixCache::Remove(Node* node) {
  CHORUS_CHECK_EQ(node->children, 0);
  leaves_.erase(node);
  if (node->parent != nullptr && --node->parent->children == 0) leaves_.insert(node->parent);
  if (node->owner != 0) {
    const auto owned = by_owner_.find(node->owner);
    owned->second.erase(node);
    if (owned->second.empty()) by_owner_.erase(owned);
  }
  pool_->SetCached(node->page[0], false);
  nodes_.erase(PrefixKey(node->key));
}

PrefixCache::Node* PrefixCache::OldestIdleLeaf() {
  // Leaves in use are few (one a running sequence) and recent, so the walk is short.
  for (Node* node : leaves_) {
    if (pool_->count(node->page[0]) == 1) return node;
  }
  return nullptr;
}

}  // namespace chorus::engine
