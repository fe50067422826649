#include "engine/adapters/residency.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/lora/tiles.h"

namespace chorus::engine {
namespace {

// What a page of an adapter costs to bring back, in tokens computed: reading it is far cheaper than
// computing a page of prefix (kPageTokens), but whoever needs it waits for the read.
constexpr double kPageReadCost = 4.0;

}  // namespace

Residency::~Residency() {
  // Copies under way would write pages that are given back now.
  CHORUS_CHECK(by_ticket_.empty());
}

Residency::Resident* Residency::AddWaiter(const AdapterRef& adapter) {
  Resident* resident = FindOrAdd(adapter);
  resident->unreadable = false;
  ++resident->waiting;
  Settle(resident);
  return resident;
}

void Residency::RemoveWaiter(Resident* resident) {
  CHORUS_CHECK_GT(resident->waiting, 0);
  --resident->waiting;
  Settle(resident);
}

void Residency::Hold(Resident* resident, uint64_t epoch) {
  ++resident->running;
  resident->last_epoch = epoch;
  Settle(resident);
}

void Residency::Unhold(Resident* resident, uint64_t epoch) {
  CHORUS_CHECK_GT(resident->running, 0);
  --resident->running;
  resident->last_epoch = epoch;
  Settle(resident);
}

bool Residency::MakeRoom(ReclaimRank rank) {
  const auto in_use = [this] {
    return num_slots_ - static_cast<int64_t>(free_slots_.size()) + num_loading();
  };
  while (in_use() >= max_adapters_) {
    if (Cheapest(rank) == nullptr) return false;
    ReclaimCheapest(0, rank);
  }
  return true;
}

void Residency::StartLoad(Resident* resident, PageLease lease, absl::Time now) {
  CHORUS_CHECK(resident->state == ResidencyState::kDisk);
  CHORUS_CHECK_EQ(lease.size(), resident->pages());
  resident->state = ResidencyState::kLoading;
  resident->lease = std::move(lease);
  resident->ticket = next_ticket_++;
  resident->load_begin = now;
  num_pages_ += resident->pages();
  by_ticket_[resident->ticket] = resident;
  loads_->Start({resident->ticket, resident->adapter, CellsOf(*resident)});
  Settle(resident);
}

void Residency::OnLoadArriving(const LoadArriving& arriving) {
  const auto found = by_ticket_.find(arriving.ticket);
  CHORUS_CHECK(found != by_ticket_.end());
  Resident* const resident = found->second;
  if (resident->state == ResidencyState::kCancelling) return;
  resident->state = ResidencyState::kArriving;
  resident->arrivals = arriving.arrivals;
  TakeSlot(resident);
  Settle(resident);
}

Residency::LoadResult Residency::OnLoadDone(const LoadDone& done, absl::Time now) {
  const auto found = by_ticket_.find(done.ticket);
  CHORUS_CHECK(found != by_ticket_.end());
  Resident* const resident = found->second;
  by_ticket_.erase(found);
  const bool cancelled = resident->state == ResidencyState::kCancelling;
  const bool arrived = resident->state == ResidencyState::kArriving && !resident->forgotten;
  resident->arrivals.reset();
  LoadResult result{resident, done.status, now - resident->load_begin};
  // A cancel that came too late counts for nothing; what has arrived stays, idle.
  if (done.status.ok() && (resident->used() || arrived)) {
    if (resident->slot < 0) TakeSlot(resident);
    resident->state = ResidencyState::kResident;
    Settle(resident);
    return result;
  }
  GiveBack(resident);
  resident->unreadable = !cancelled && !done.status.ok();
  if (cancelled) result.status = absl::OkStatus();
  if (!Settle(resident)) result.resident = nullptr;
  return result;
}

absl::Status Residency::Pin(const AdapterRef& adapter, bool pinned) {
  Resident* resident = FindOrAdd(adapter);
  resident->unreadable = false;
  absl::Status status;
  if (pinned && !resident->pinned && pinned_pages_ + resident->pages() > pin_pages_) {
    status = absl::ResourceExhaustedError(absl::StrCat(
        "pin of adapter \"", adapter->name(), "\": ", resident->pages(), " pages wanted, ",
        pin_pages_ - pinned_pages_, " of the pin budget's ", pin_pages_, " are left"));
  } else if (pinned != resident->pinned) {
    resident->pinned = pinned;
    pinned_pages_ += pinned ? resident->pages() : -resident->pages();
  }
  Settle(resident);
  return status;
}

std::vector<Residency::Resident*> Residency::PinnedOnDisk() const {
  std::vector<Resident*> found;
  for (const auto& [serial, resident] : pinned_on_disk_) found.push_back(resident);
  return found;
}

void Residency::Forget(const AdapterKey& key) {
  loads_->Forget(key.first, key.second);
  const auto found = residents_.find(key);
  if (found == residents_.end()) return;
  Resident* resident = &found->second;
  if (resident->pinned) {
    resident->pinned = false;
    pinned_pages_ -= resident->pages();
  }
  resident->forgotten = true;
  Settle(resident);
}

void Residency::ClearWaiterRanks() {
  for (Resident* resident : ranked_) resident->first_waiter = kNobodyWaits;
  ranked_.clear();
}

void Residency::SetWaiterRank(Resident* resident, ReclaimRank rank) {
  if (resident->first_waiter != kNobodyWaits) return;
  CHORUS_CHECK(ranked_.empty() || ranked_.back()->first_waiter <= rank);
  resident->first_waiter = rank;
  ranked_.push_back(resident);
}

std::vector<AdapterResidency> Residency::Snapshot() const {
  std::vector<AdapterResidency> snapshot;
  snapshot.reserve(residents_.size());
  for (const auto& [key, resident] : residents_) {
    snapshot.push_back({resident.adapter->tenant(), resident.adapter->name(),
                        resident.adapter->version(), resident.adapter->digest(), resident.state,
                        resident.lease.size(), resident.max_rank, resident.running,
                        resident.waiting, resident.pinned});
  }
  return snapshot;
}

std::optional<double> Residency::CheapestWorth(uint64_t epoch, ReclaimRank rank) {
  const Resident* resident = Cheapest(rank);
  if (resident == nullptr) return std::nullopt;
  return PageWorth(kPageReadCost, resident->last_epoch, epoch);
}

void Residency::ReclaimCheapest(uint64_t, ReclaimRank rank) {
  Resident* resident = Cheapest(rank);
  CHORUS_CHECK(resident != nullptr);
  ++num_evictions_;
  GiveBack(resident);
  Settle(resident);
}

int64_t Residency::ReclaimablePages(ReclaimRank rank) const {
  int64_t pages = idle_pages_;
  for (const Resident* resident : ranked_) {
    if (resident->first_waiter > rank) break;
    if (resident->idle()) pages -= resident->pages();
  }
  return pages;
}

Residency::Resident* Residency::FindOrAdd(const AdapterRef& adapter) {
  auto [it, added] = residents_.try_emplace(KeyOf(*adapter));
  Resident& resident = it->second;
  if (added || !adapter->retired()) {  // the content's name of today: older ones are let go
    resident.adapter = adapter;
    resident.forgotten = adapter->retired();
  }
  if (added) {
    resident.serial = next_serial_++;
    for (const kernels::LoraModuleEntry& entry : adapter->layout().modules) {
      resident.max_rank = std::max(resident.max_rank, entry.rank);
    }
  }
  return &resident;
}

std::vector<int32_t> Residency::CellsOf(const Resident& resident) const {
  const int64_t tiles = resident.adapter->layout().num_tiles;
  return CellsInFillOrder(resident.lease.ids(),
                          kernels::CeilDiv(tiles, kernels::TilesPerCell(view_)), view_);
}

void Residency::TakeSlot(Resident* resident) {
  if (free_slots_.empty()) free_slots_.push_back(num_slots_++);
  resident->slot = free_slots_.back();
  free_slots_.pop_back();
  auto contents = std::make_shared<kernels::LoraSlot>();
  contents->cells = CellsOf(*resident);
  contents->modules = resident->adapter->layout().modules;
  slot_changes_.push_back({resident->slot, std::move(contents)});
}

// Pages and slot; it is on disk again.
void Residency::GiveBack(Resident* resident) {
  if (resident->slot >= 0) {
    slot_changes_.push_back({resident->slot, nullptr});
    free_slots_.push_back(resident->slot);
    resident->slot = -1;
  }
  resident->lease.Release();
  num_pages_ -= resident->pages();
  resident->state = ResidencyState::kDisk;
}

void Residency::CancelLoad(Resident* resident) {
  resident->state = ResidencyState::kCancelling;
  loads_->Cancel(resident->ticket);
}

bool Residency::Settle(Resident* resident) {
  if (!resident->used()) {
    if (resident->state == ResidencyState::kLoading) CancelLoad(resident);
    if (resident->state == ResidencyState::kResident && resident->forgotten) GiveBack(resident);
  }
  File(resident);
  if (resident->used() || resident->state != ResidencyState::kDisk) return true;
  std::erase(ranked_, resident);
  residents_.erase(KeyOf(*resident->adapter));
  return false;
}

void Residency::File(Resident* resident) {
  if (resident->idle_since.has_value()) {
    idle_.erase({*resident->idle_since, resident->serial});
    idle_pages_ -= resident->pages();
    resident->idle_since.reset();
  }
  if (resident->idle()) {
    resident->idle_since = resident->last_epoch;
    idle_[{resident->last_epoch, resident->serial}] = resident;
    idle_pages_ += resident->pages();
  }
  pinned_lease_ -= resident->pinned_lease;
  resident->pinned_lease = resident->pinned ? resident->lease.size() : 0;
  pinned_lease_ += resident->pinned_lease;
  if (resident->pinned && !resident->unreadable && resident->state == ResidencyState::kDisk) {
    pinned_on_disk_[resident->serial] = resident;
  } else {
    pinned_on_disk_.erase(resident->serial);
  }
}

// Those that are skipped are of the head of the queue, so the walk is short.
Residency::Resident* Residency::Cheapest(ReclaimRank rank) const {
  for (const auto& [since, resident] : idle_) {
    if (resident->first_waiter > rank) return resident;
  }
  return nullptr;
}

}  // namespace chorus::engine
