// Resident: what Residency knows of an adapter that lies in the pool, is on its way or is waited
// for. Engine thread only; only Residency changes it.
#ifndef CHORUS_ENGINE_ADAPTERS_RESIDENT_H_
#define CHORUS_ENGINE_ADAPTERS_RESIDENT_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "engine/adapters/adapter_version.h"
#include "engine/adapters/residency_state.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/reclaim_order.h"
#include "engine/memory/reclaimer.h"
#include "engine/model/layer_arrivals.h"

namespace chorus::engine {

constexpr ReclaimRank kNobodyWaits = std::numeric_limits<ReclaimRank>::max();

struct Resident {
  AdapterRef adapter;
  PrefixOwner owner = 0;  // of its prefixes
  ResidencyState state = ResidencyState::kDisk;
  PageLease lease;
  int32_t slot = -1;                              // ARRIVING and RESIDENT only
  std::shared_ptr<const LayerArrivals> arrivals;  // ARRIVING only
  int32_t max_rank = 0;
  int32_t running = 0;                      // sequences that hold it
  int32_t waiting = 0;                      // sequences queued for it
  ReclaimRank first_waiter = kNobodyWaits;  // at the head of the queue
  bool pinned = false;
  bool forgotten = false;   // its version was deleted: evict when the last user ends
  bool unreadable = false;  // its last load failed: not loaded for a pin alone
  int32_t uses = 0;         // requests after the first
  uint64_t serial = 0;
  uint64_t ticket = 0;    // of the load under way
  int64_t told_rank = 0;  // what the load queue knows
  absl::Time load_begin;
  // How Residency has filed it.
  std::optional<Worth> idle_worth;  // in the order of idle ones
  int64_t pinned_lease = 0;         // its part of the pinned pages
  bool changed = false;             // since Residency::TakeChanges

  int64_t pages() const { return adapter->layout().num_ids; }
  // In the load queue: what is admitted, what waits, what is only pinned.
  int64_t load_rank() const { return running > 0 ? kAnyone : first_waiter; }
  bool staged() const { return state == ResidencyState::kLoading && running == 0; }
  AdapterResidency Describe() const {
    return {adapter->tenant(),
            adapter->name(),
            adapter->version(),
            adapter->digest(),
            state,
            lease.size(),
            max_rank,
            running,
            waiting,
            pinned};
  }
  bool used() const { return running > 0 || waiting > 0 || pinned; }
  bool idle() const { return state == ResidencyState::kResident && running == 0 && !pinned; }
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_RESIDENT_H_
