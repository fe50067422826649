#include "engine/memory/host_prefixes.h"

#include "kernels/check.h"

namespace chorus::engine {

HostPrefixes::HostPrefixes(int64_t num_slots) : entries_(static_cast<size_t>(num_slots)) {
  for (int32_t slot = 0; slot < num_slots; ++slot) {
    entries_[static_cast<size_t>(slot)].age = by_age_.insert(by_age_.end(), slot);
  }
}

int64_t HostPrefixes::MatchLength(std::span<const PrefixKey> keys) const {
  int64_t length = 0;
  while (length < std::ssize(keys) && Contains(keys[static_cast<size_t>(length)])) ++length;
  return length;
}

std::optional<int32_t> HostPrefixes::Add(const PrefixKey& key, PrefixOwner owner) {
  if (by_age_.empty()) return std::nullopt;
  const int32_t slot = by_age_.front();
  Entry& entry = entries_[static_cast<size_t>(slot)];
  if (entry.here) Drop(slot);
  const bool added = slots_.try_emplace(key, slot).second;
  CHORUS_CHECK(added);
  if (owner != 0) by_owner_[owner].insert(slot);
  entry.key = key;
  entry.owner = owner;
  entry.here = true;
  by_age_.splice(by_age_.end(), by_age_, entry.age);
  return slot;
}

int32_t HostPrefixes::Hold(const PrefixKey& key) {
  const auto found = slots_.find(key);
  CHORUS_CHECK(found != slots_.end());
  Entry& entry = entries_[static_cast<size_t>(found->second)];
  if (entry.holds++ == 0) by_age_.erase(entry.age);
  return found->second;
}

void HostPrefixes::Release(int32_t slot) {
  Entry& entry = entries_[static_cast<size_t>(slot)];
  CHORUS_CHECK_GT(entry.holds, 0);
  if (--entry.holds > 0) return;
  entry.age = by_age_.insert(entry.here ? by_age_.end() : by_age_.begin(), slot);
}

void HostPrefixes::Forget(PrefixOwner owner) {
  const auto found = by_owner_.find(owner);
  if (found == by_owner_.end()) return;
  const std::vector<int32_t> slots(found->second.begin(), found->second.end());
  for (const int32_t slot : slots) {
    Drop(slot);
    const Entry& entry = entries_[static_cast<size_t>(slot)];
    if (entry.holds == 0) by_age_.splice(by_age_.begin(), by_age_, entry.age);
  }
}

// Not found any more.
void HostPrefixes::Drop(int32_t slot) {
  Entry& entry = entries_[static_cast<size_t>(slot)];
  entry.here = false;
  slots_.erase(entry.key);
  if (entry.owner == 0) return;
  const auto owned = by_owner_.find(entry.owner);
  owned->second.erase(slot);
  if (owned->second.empty()) by_owner_.erase(owned);
}

}  // namespace chorus::engine
