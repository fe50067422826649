// Residency: which adapters lie in the pool, which are on their way, and who needs them. Engine
// thread only; a LoadQueue does the reading.
//
//   DISK ──StartLoad──▶ LOADING ──(ARRIVING)──done──▶ RESIDENT ──reclaimed, forgotten──▶ DISK
//                          └─nobody waits─▶ CANCELLING ──done──▶ DISK
//
// A copy holds its pages until it answers, whatever happens to the adapter meanwhile. An arriving
// adapter can be used by steps that wait for its layers, and no longer be cancelled. A resident
// adapter without running sequences is idle and can be reclaimed, unless it is pinned. Nothing here
// walks over all residents, of which there may be thousands, but Snapshot.
#ifndef CHORUS_ENGINE_ADAPTERS_RESIDENCY_H_
#define CHORUS_ENGINE_ADAPTERS_RESIDENCY_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "engine/adapters/adapter_loader.h"
#include "engine/adapters/adapter_version.h"
#include "engine/adapters/residency_state.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/reclaimer.h"
#include "engine/model/runner.h"
#include "engine/model/step_plan.h"

namespace chorus::engine {

// One tenant's adapter content. Two tenants with the same content have two residents, so that
// neither can tell from timing what the other has.
using AdapterKey = std::pair<std::string, AdapterDigest>;

class Residency : public ReclaimSource {
 public:
  static constexpr ReclaimRank kNobodyWaits = std::numeric_limits<ReclaimRank>::max();

  struct Resident {
    AdapterRef adapter;
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
    uint64_t last_epoch = 0;
    uint64_t serial = 0;
    uint64_t ticket = 0;  // of the load under way
    absl::Time load_begin;
    // How Residency has filed it.
    std::optional<uint64_t> idle_since;  // its key in the order of idle ones
    int64_t pinned_lease = 0;            // its part of the pinned pages

    int64_t pages() const { return adapter->layout().num_ids; }
    bool used() const { return running > 0 || waiting > 0 || pinned; }
    bool idle() const { return state == ResidencyState::kResident && running == 0 && !pinned; }
  };

  // `pin_pages` bounds the pages of all pinned adapters together, `max_adapters` those that lie in
  // the pool or are on their way.
  Residency(PagePool* pool, LoadQueue* loads, const kernels::PoolView& view, int64_t pin_pages,
            int64_t max_adapters = RunnerLimits::kNone)
      : pool_(pool),
        loads_(loads),
        view_(view),
        pin_pages_(pin_pages),
        max_adapters_(max_adapters) {}
  ~Residency() override;

  // A sequence queues for an adapter, and leaves the queue again.
  Resident* AddWaiter(const AdapterRef& adapter);
  void RemoveWaiter(Resident* resident);
  // A sequence runs with it (or has reserved it while it loads), and has ended.
  void Hold(Resident* resident, uint64_t epoch);
  void Unhold(Resident* resident, uint64_t epoch);

  // Makes room for one adapter more, by evicting idle ones that nobody up to `rank` waits for.
  // False when all are in use.
  bool MakeRoom(ReclaimRank rank);
  // REQUIRES: state DISK, `lease` has pages() ids, MakeRoom was true.
  void StartLoad(Resident* resident, PageLease lease, absl::Time now);
  void OnLoadArriving(const LoadArriving& arriving);
  // What a load's answer means: the adapter became resident, or its waiters must be told why not
  // (a cancelled load answers OK here: it is on disk again, and may be started again).
  struct LoadResult {
    Resident* resident = nullptr;  // null when it is gone
    absl::Status status;
    absl::Duration took;
  };
  LoadResult OnLoadDone(const LoadDone& done, absl::Time now);

  // ResourceExhausted beyond the pin budget. A pinned adapter is loaded when pages allow; one whose
  // load failed when somebody pins it again or waits for it.
  absl::Status Pin(const AdapterRef& adapter, bool pinned);
  std::vector<Resident*> PinnedOnDisk() const;  // those to load, the first that came first
  // Drops an idle resident now, a running one when it ends; a load is cancelled.
  void Forget(const AdapterKey& key);

  // Slots that changed since the last call, for the next StepPlan.
  std::vector<SlotChange> TakeSlotChanges() { return std::exchange(slot_changes_, {}); }

  // The scheduler numbers the head of the queue anew each step: forget all positions, then set
  // them, ascending.
  void ClearWaiterRanks();
  void SetWaiterRank(Resident* resident, ReclaimRank rank);

  int num_loading() const { return static_cast<int>(by_ticket_.size()); }
  int64_t num_pages() const { return num_pages_; }
  int64_t num_pinned_pages() const { return pinned_lease_; }  // leased by pinned adapters
  uint64_t num_evictions() const { return num_evictions_; }
  std::vector<AdapterResidency> Snapshot() const;

  std::optional<double> CheapestWorth(uint64_t epoch, ReclaimRank rank) override;
  void ReclaimCheapest(uint64_t epoch, ReclaimRank rank) override;
  int64_t ReclaimablePages(ReclaimRank rank) const override;

  static AdapterKey KeyOf(const AdapterVersion& adapter) {
    return {adapter.tenant(), adapter.digest()};
  }

 private:
  Resident* FindOrAdd(const AdapterRef& adapter);
  std::vector<int32_t> CellsOf(const Resident& resident) const;
  void TakeSlot(Resident* resident);
  void GiveBack(Resident* resident);
  void CancelLoad(Resident* resident);
  // To be called when anything of a resident has changed: files it anew, and lets go what nobody
  // uses any more. False when it is gone.
  bool Settle(Resident* resident);
  void File(Resident* resident);
  Resident* Cheapest(ReclaimRank rank) const;

  PagePool* const pool_;
  LoadQueue* const loads_;
  const kernels::PoolView view_;
  const int64_t pin_pages_;
  const int64_t max_adapters_;
  absl::node_hash_map<AdapterKey, Resident> residents_;
  absl::flat_hash_map<uint64_t, Resident*> by_ticket_;
  std::map<std::pair<uint64_t, uint64_t>, Resident*> idle_;  // by last epoch and serial
  int64_t idle_pages_ = 0;
  std::map<uint64_t, Resident*> pinned_on_disk_;  // by serial; readable ones
  std::vector<Resident*> ranked_;                 // those with a first waiter, ascending
  std::vector<int32_t> free_slots_;
  int32_t num_slots_ = 0;
  std::vector<SlotChange> slot_changes_;
  int64_t num_pages_ = 0;
  int64_t pinned_pages_ = 0;  // of the budget
  int64_t pinned_lease_ = 0;
  uint64_t next_ticket_ = 1;
  uint64_t next_serial_ = 1;
  uint64_t num_evictions_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_RESIDENCY_H_
