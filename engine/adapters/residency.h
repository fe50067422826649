// Residency: which adapters lie in the pool, which are on their way, and who needs them. Engine
// thread only; a LoadQueue does the reading.
//
//   DISK ──StartLoad──▶ LOADING ──(ARRIVING)──done──▶ RESIDENT ──reclaimed, forgotten──▶ DISK
//                        │ └─nobody waits, begun─▶ CANCELLING ──done──▶ DISK
//                        └───nobody waits, not begun──▶ DISK
//
// A load that no admitted sequence needs is staged: it is there for waiters, and yields to others.
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
#include "engine/adapters/load_cost.h"
#include "engine/adapters/resident.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/reclaim_order.h"
#include "engine/memory/reclaimer.h"
#include "engine/model/runner.h"
#include "engine/model/step_plan.h"

namespace chorus::engine {

class Residency : public ReclaimSource {
 public:
  using Resident = engine::Resident;

  // What it works with; all outlive it.
  struct Parts {
    PagePool* pool;
    LoadQueue* loads;
    ReclaimOrder* order;
    PrefixCache* prefixes;  // null: none hang under adapters
  };
  struct Limits {
    int64_t pin_pages = 0;                                    // of all pinned adapters together
    int64_t max_adapters = RunnerLimits::kNone;               // in the pool or on their way
    int32_t max_loads = std::numeric_limits<int32_t>::max();  // under way
    int64_t max_load_bytes = std::numeric_limits<int64_t>::max();  // of these; one may be larger
    bool keep_idle = true;  // false: an adapter goes when nobody runs with it or waits for it
  };
  Residency(const Parts& parts, const kernels::PoolView& view, const Limits& limits);
  ~Residency() override;

  // A sequence queues for an adapter, and leaves the queue again.
  Resident* AddWaiter(const AdapterRef& adapter);
  void RemoveWaiter(Resident* resident);
  // A sequence runs with it (or has reserved it while it loads), and has ended.
  void Hold(Resident* resident);
  void Unhold(Resident* resident);

  // Makes room for one adapter more, by evicting idle ones that nobody up to `rank` waits for.
  // False when all are in use.
  bool MakeRoom(ReclaimRank rank);
  // Makes room for this one's load among those under way, by taking back staged ones further behind
  // that have not begun. False when those that are left are too many or too large.
  bool MakeLoadRoom(const Resident& resident, ReclaimRank rank);
  // Takes back the staged load furthest behind `rank` that has not begun: its pages are free. False
  // when there is none.
  bool WithdrawStaged(ReclaimRank rank);
  // Cancels the staged load furthest behind. False when there is none.
  bool CancelStaged();
  // Whether a load is being cancelled: its pages come back soon, unless the store hangs.
  bool IsYielding() const;
  // The load queue learns the ranks of those who wait.
  void OrderLoads();
  // REQUIRES: state DISK, `lease` has pages() ids, MakeRoom and MakeLoadRoom were true.
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
  // What has changed since the last call.
  ResidencyChanges TakeChanges();

  std::optional<double> CheapestWorth(ReclaimRank rank) const override;
  void ReclaimCheapest(ReclaimRank rank) override;
  int64_t ReclaimablePages(ReclaimRank rank) const override;

  static AdapterKey KeyOf(const AdapterVersion& adapter) {
    return {adapter.tenant(), adapter.digest()};
  }
  static PrefixOwner OwnerOf(const AdapterKey& key);

 private:
  Resident* FindOrAdd(const AdapterRef& adapter);
  std::vector<int32_t> CellsOf(const Resident& resident) const;
  void TakeSlot(Resident* resident);
  void GiveBack(Resident* resident);
  int64_t BytesOf(const Resident& resident) const;
  // False when the load has begun.
  bool Withdraw(Resident* resident);
  void CancelLoad(Resident* resident);
  void EndLoad(Resident* resident);
  // To be called when anything of a resident has changed: files it anew, and lets go what nobody
  // uses any more. False when it is gone.
  bool Settle(Resident* resident);
  void File(Resident* resident);
  Resident* Cheapest(ReclaimRank rank) const;
  std::vector<Resident*> StagedBehind(ReclaimRank rank) const;

  const Parts parts_;
  const kernels::PoolView view_;
  const Limits limits_;
  ReuseHistory history_;
  LoadCost load_cost_;
  absl::node_hash_map<AdapterKey, Resident> residents_;
  absl::flat_hash_map<uint64_t, Resident*> by_ticket_;
  std::map<std::pair<double, uint64_t>, Resident*> idle_;  // by worth and serial
  int64_t idle_pages_ = 0;
  std::map<uint64_t, Resident*> pinned_on_disk_;  // by serial; readable ones
  std::vector<Resident*> changed_;
  std::vector<AdapterKey> gone_;   // since the last TakeChanges
  std::vector<Resident*> ranked_;  // those with a first waiter, ascending
  std::vector<int32_t> free_slots_;
  int32_t num_slots_ = 0;
  std::vector<SlotChange> slot_changes_;
  int64_t num_pages_ = 0;
  int64_t pinned_pages_ = 0;  // of the budget
  int64_t pinned_lease_ = 0;
  int64_t loading_bytes_ = 0;
  uint64_t next_ticket_ = 1;
  uint64_t next_serial_ = 1;
  uint64_t num_evictions_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_RESIDENCY_H_
