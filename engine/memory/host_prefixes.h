// HostPrefixes: which pages of KV lie on the host, outside the pool, and in which slot. A tier
// under the prefix cache: a page that left the pool is found here by the same key. It knows slots
// and keys; the runner moves the bytes. Engine thread only.
//
// Pages are let go in the order of their last use. What hangs under a page that is gone is never
// found again and leaves in its turn.
#ifndef CHORUS_ENGINE_MEMORY_HOST_PREFIXES_H_
#define CHORUS_ENGINE_MEMORY_HOST_PREFIXES_H_

#include <cstdint>
#include <iterator>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/prefix_key.h"

namespace chorus::engine {

class HostPrefixes {
 public:
  explicit HostPrefixes(int64_t num_slots);

  bool Contains(const PrefixKey& key) const { return slots_.contains(key); }
  // How many of `keys` are here, from the first on.
  int64_t MatchLength(std::span<const PrefixKey> keys) const;

  // A slot for a page that is not here, in place of the one that was used longest ago; nullopt when
  // all are held. The page counts as here from now on. REQUIRES: !Contains(key).
  std::optional<int32_t> Add(const PrefixKey& key, PrefixOwner owner);
  // The slot of a page that is here, which stays so until Release. REQUIRES: Contains(key).
  int32_t Hold(const PrefixKey& key);
  void Release(int32_t slot);

  // No page of the owner's is found any more; those that are held leave when they are released.
  void Forget(PrefixOwner owner);

  int64_t num_slots() const { return static_cast<int64_t>(entries_.size()); }
  int64_t num_held() const { return num_slots() - std::ssize(by_age_); }
  int64_t num_used() const { return static_cast<int64_t>(slots_.size()); }

 private:
  struct Entry {
    PrefixKey key;
    PrefixOwner owner = 0;
    int32_t holds = 0;
    bool here = false;                 // found by its key
    std::list<int32_t>::iterator age;  // in by_age_, unless it is held
  };

  void Drop(int32_t slot);

  std::vector<Entry> entries_;  // [slots]
  absl::flat_hash_map<PrefixKey, int32_t> slots_;
  absl::flat_hash_map<PrefixOwner, absl::flat_hash_set<int32_t>> by_owner_;  // owners but the base
  std::list<int32_t> by_age_;  // free ones first, then by last use
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_HOST_PREFIXES_H_
