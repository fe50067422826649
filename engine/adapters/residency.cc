#include "engine/adapters/residency.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/lora/tiles.h"

namespace chorus::engine {
namespace {

// Adapters that are not here whose uses are remembered, at most: some 50 bytes each.
constexpr int64_t kMaxRemembered = 1 << 16;

}  // namespace

Residency::Residency(const Parts& parts, const kernels::PoolView& view, const Limits& limits)
    : parts_(parts), view_(view), limits_(limits), history_(kMaxRemembered) {}

Residency::~Residency() {
  // Copies under way would write pages that are given back now.
  CHORUS_CHECK(by_ticket_.empty());
}

Residency::Resident* Residency::AddWaiter(const AdapterRef& adapter) {
  const size_t known = residents_.size();
  Resident* resident = FindOrAdd(adapter);
  if (residents_.size() == known) history_.Use(&resident->uses);
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

void Residency::Hold(Resident* resident) {
  ++resident->running;
  Settle(resident);
}

void Residency::Unhold(Resident* resident) {
  CHORUS_CHECK_GT(resident->running, 0);
  --resident->running;
  Settle(resident);
}

bool Residency::MakeRoom(ReclaimRank rank) {
  const auto in_use = [this] {
    return num_slots_ - static_cast<int64_t>(free_slots_.size()) + num_loading();
  };
  while (in_use() >= limits_.max_adapters) {
    if (Cheapest(rank) == nullptr) return false;
    ReclaimCheapest(rank);
  }
  return true;
}

bool Residency::MakeLoadRoom(const Resident& resident, ReclaimRank rank) {
  const auto fits = [&] {
    return num_loading() < limits_.max_loads &&
           (num_loading() == 0 || loading_bytes_ + BytesOf(resident) <= limits_.max_load_bytes);
  };
  while (!fits()) {
    if (!WithdrawStaged(rank)) return false;
  }
  return true;
}

bool Residency::WithdrawStaged(ReclaimRank rank) {
  for (Resident* resident : StagedBehind(rank)) {
    if (!Withdraw(resident)) continue;
    Settle(resident);
    return true;
  }
  return false;
}

bool Residency::CancelStaged() {
  const std::vector<Resident*> staged = StagedBehind(kAnyone);
  if (!staged.empty()) {
    CancelLoad(staged.front());
    Settle(staged.front());
  }
  return !staged.empty();
}

bool Residency::IsYielding() const {
  return std::any_of(by_ticket_.begin(), by_ticket_.end(), [](const auto& load) {
    return load.second->state == ResidencyState::kCancelling;
  });
}

void Residency::OrderLoads() {
  for (auto& [ticket, resident] : by_ticket_) {
    if (resident->told_rank == resident->load_rank()) continue;
    resident->told_rank = resident->load_rank();
    parts_.loads->SetRank(ticket, resident->told_rank);
  }
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
  loading_bytes_ += BytesOf(*resident);
  resident->told_rank = resident->load_rank();
  parts_.loads->Start(
      {resident->ticket, resident->adapter, CellsOf(*resident), resident->told_rank});
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
  EndLoad(resident);
  const bool cancelled = resident->state == ResidencyState::kCancelling;
  const bool arrived = resident->state == ResidencyState::kArriving && !resident->forgotten;
  resident->arrivals.reset();
  LoadResult result{resident, done.status, now - resident->load_begin};
  const absl::Duration took = done.took > absl::ZeroDuration() ? done.took : result.took;
  if (done.status.ok() && took > absl::ZeroDuration()) {
    load_cost_.Observe(resident->pages(), absl::ToDoubleSeconds(took));
  }
  // A cancel that came too late counts for nothing; what has arrived stays, idle.
  if (done.status.ok() && (resident->used() || arrived)) {
    if (resident->slot < 0) TakeSlot(resident);
    resident->state = ResidencyState::kResident;
    if (!Settle(resident)) result.resident = nullptr;  // nobody keeps what is idle
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
  if (pinned && !resident->pinned && pinned_pages_ + resident->pages() > limits_.pin_pages) {
    status = absl::ResourceExhaustedError(
        absl::StrCat("pin of adapter \"", adapter->name(), "\": ", resident->pages(),
                     " pages wanted, ", limits_.pin_pages - pinned_pages_, " of the pin budget's ",
                     limits_.pin_pages, " are left"));
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
  parts_.loads->Forget(key.first, key.second);
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
  for (const auto& [key, resident] : residents_) snapshot.push_back(resident.Describe());
  return snapshot;
}

ResidencyChanges Residency::TakeChanges() {
  ResidencyChanges changes{std::exchange(gone_, {}), {}};
  for (Resident* resident : std::exchange(changed_, {})) {
    resident->changed = false;
    changes.now.push_back(resident->Describe());
  }
  return changes;
}

std::optional<double> Residency::CheapestWorth(ReclaimRank rank) const {
  const Resident* resident = Cheapest(rank);
  if (resident == nullptr) return std::nullopt;
  return resident->idle_worth->total();
}

void Residency::ReclaimCheapest(ReclaimRank rank) {
  Resident* resident = Cheapest(rank);
  CHORUS_CHECK(resident != nullptr);
  ++num_evictions_;
  parts_.order->GaveUp(*resident->idle_worth);
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

PrefixOwner Residency::OwnerOf(const AdapterKey& key) {
  std::string text = key.first;
  text.append(reinterpret_cast<const char*>(key.second.bytes.data()), key.second.bytes.size());
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  PrefixOwner owner;
  std::memcpy(&owner, hash, sizeof(owner));
  return owner | 1;  // never the base's 0
}

Residency::Resident* Residency::FindOrAdd(const AdapterRef& adapter) {
  auto [it, added] = residents_.try_emplace(KeyOf(*adapter));
  Resident& resident = it->second;
  if (added || !adapter->retired()) {  // the content's name of today: older ones are let go
    resident.adapter = adapter;
    resident.forgotten = adapter->retired();
  }
  if (added) {
    resident.owner = OwnerOf(it->first);
    resident.uses = history_.Enter(resident.owner);
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
    if (parts_.prefixes != nullptr) parts_.prefixes->Orphan(resident->owner);
    slot_changes_.push_back({resident->slot, nullptr});
    free_slots_.push_back(resident->slot);
    resident->slot = -1;
  }
  resident->lease.Release();
  num_pages_ -= resident->pages();
  resident->state = ResidencyState::kDisk;
}

int64_t Residency::BytesOf(const Resident& resident) const {
  return resident.adapter->layout().num_tiles * kernels::TileBytes(view_.dtype);
}

// The furthest behind first.
std::vector<Residency::Resident*> Residency::StagedBehind(ReclaimRank rank) const {
  std::vector<Resident*> staged;
  for (const auto& [ticket, resident] : by_ticket_) {
    if (resident->staged() && resident->first_waiter > rank) staged.push_back(resident);
  }
  std::sort(staged.begin(), staged.end(), [](const Resident* a, const Resident* b) {
    return std::pair(a->first_waiter, a->ticket) > std::pair(b->first_waiter, b->ticket);
  });
  return staged;
}

bool Residency::Withdraw(Resident* resident) {
  if (!parts_.loads->Withdraw(resident->ticket)) return false;
  EndLoad(resident);
  GiveBack(resident);
  return true;
}

void Residency::EndLoad(Resident* resident) {
  by_ticket_.erase(resident->ticket);
  loading_bytes_ -= BytesOf(*resident);
}

void Residency::CancelLoad(Resident* resident) {
  if (Withdraw(resident)) return;
  resident->state = ResidencyState::kCancelling;
  parts_.loads->Cancel(resident->ticket);
}

bool Residency::Settle(Resident* resident) {
  if (!resident->used()) {
    if (resident->state == ResidencyState::kLoading) CancelLoad(resident);
    const bool keep = limits_.keep_idle && !resident->forgotten;
    if (resident->state == ResidencyState::kResident && !keep) GiveBack(resident);
  }
  File(resident);
  if (resident->used() || resident->state != ResidencyState::kDisk) return true;
  std::erase(ranked_, resident);
  if (resident->changed) std::erase(changed_, resident);
  gone_.push_back(KeyOf(*resident->adapter));
  if (!resident->forgotten) history_.Leave(resident->owner, resident->uses);
  residents_.erase(KeyOf(*resident->adapter));
  return false;
}

void Residency::File(Resident* resident) {
  if (!resident->changed) changed_.push_back(resident);
  resident->changed = true;
  if (resident->idle_worth.has_value()) {
    idle_.erase({resident->idle_worth->total(), resident->serial});
    idle_pages_ -= resident->pages();
    resident->idle_worth.reset();
  }
  if (resident->idle()) {
    const auto pages = static_cast<double>(std::max<int64_t>(resident->pages(), 1));
    resident->idle_worth = parts_.order->Of(history_.Estimate(resident->uses),
                                            load_cost_.Seconds(resident->pages()) / pages);
    idle_[{resident->idle_worth->total(), resident->serial}] = resident;
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
  for (const auto& [worth, resident] : idle_) {
    if (resident->first_waiter > rank) return resident;
  }
  return nullptr;
}

}  // namespace chorus::engine
