#include "engine/schedule/admission.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace chorus::engine {
namespace {

// Sequences at the head of the queue that one step looks at.
constexpr ReclaimRank kAdmissionWindow = 64;

// Of the front of its tokens. A hit always leaves a token to compute: its logits are what the next
// token is drawn from.
std::span<const PrefixKey> MatchableKeys(const Sequence& sequence) {
  const int64_t pages = std::min<int64_t>(static_cast<int64_t>(sequence.keys.size()),
                                          (sequence.num_tokens() - 1) / kernels::kPageTokens);
  return std::span(sequence.keys).first(static_cast<size_t>(pages));
}

// Those that were found in the cache.
std::span<const PrefixKey> FirstKeys(const Sequence& sequence, int64_t cached) {
  return MatchableKeys(sequence).first(static_cast<size_t>(cached));
}

bool IsCold(const Sequence& sequence) {
  return sequence.resident != nullptr && sequence.resident->state == ResidencyState::kDisk;
}

// Somebody loads its adapter.
bool IsOnItsWay(const Sequence& sequence) {
  return sequence.resident != nullptr && !IsCold(sequence) &&
         sequence.resident->state != ResidencyState::kResident;
}

// Of its adapter, that nobody could reclaim any more.
int64_t IdlePages(const Sequence& sequence) {
  const Residency::Resident* const resident = sequence.resident;
  return resident != nullptr && resident->idle() ? resident->pages() : 0;
}

}  // namespace

Admission::Admission(const EngineOptions& options, PoolContents* pool, FairQueue* waiting,
                     ActiveSet* active, PromptsUnderWay* under_way)
    : options_(options),
      pool_(*pool),
      waiting_(*waiting),
      active_(*active),
      under_way_(*under_way),
      forecast_(*pool, *active) {}

void Admission::Enqueue(Sequence* sequence) {
  if (const AdapterRef& adapter = sequence->request->spec.adapter; adapter != nullptr) {
    sequence->resident = pool_.residency.AddWaiter(adapter);
  }
  sequence->cached_hint = CachedPages(*sequence) * kernels::kPageTokens;
  waiting_.Add(sequence);
}

void Admission::Leave(Sequence* sequence) {
  waiting_.Remove(sequence);
  if (std::exchange(sequence->overdue, false)) overdue_.erase(sequence);
  if (sequence->resident != nullptr) pool_.residency.RemoveWaiter(sequence->resident);
}

std::vector<Sequence*> Admission::Admit(absl::Time now) {
  forecast_.BeginStep();
  FillWindow();
  bool any_deferred = false;
  Passed passed;
  for (size_t i = 0; i < window_.size() && !passed.closed; ++i) {
    window_[i].deferred = IsDeferred(*window_[i].sequence);
    any_deferred |= window_[i].deferred;
    Consider(static_cast<ReclaimRank>(i), &passed, now);
  }
  if (any_deferred) AdmitDeferred(now);
  StageLoads(now);
  return std::exchange(admitted_, {});
}

// The head of the queue, those first who are overdue; the loads learn its order.
void Admission::FillWindow() {
  window_.clear();
  pool_.residency.ClearWaiterRanks();
  for (Sequence* sequence : overdue_) {
    if (!IsWindowFull()) Look(sequence);
  }
  FairQueue::Walk walk(&waiting_, [this](const Sequence& sequence) { return IsReady(sequence); });
  while (!IsWindowFull()) {
    Sequence* const sequence = walk.Next();
    if (sequence == nullptr) break;
    if (!sequence->overdue) Look(sequence);
  }
  pool_.residency.OrderLoads();
}

bool Admission::IsWindowFull() const {
  return static_cast<ReclaimRank>(window_.size()) == kAdmissionWindow;
}

// The next one of the order.
void Admission::Look(Sequence* sequence) {
  const auto rank = static_cast<ReclaimRank>(window_.size());
  if (sequence->resident != nullptr) pool_.residency.SetWaiterRank(sequence->resident, rank);
  window_.push_back({.sequence = sequence});
}

// Those who let others go first, if there is still room.
void Admission::AdmitDeferred(absl::Time now) {
  Passed passed;
  for (size_t i = 0; i < window_.size() && !passed.closed; ++i) {
    if (std::exchange(window_[i].deferred, false)) {
      Consider(static_cast<ReclaimRank>(i), &passed, now);
    } else if (window_[i].blocked()) {
      AddPassed(window_[i].sequence, &passed);
    }
  }
}

// Tries the sequence of that rank; those in `passed` are ahead of it.
void Admission::Consider(ReclaimRank rank, Passed* passed, absl::Time now) {
  Candidate& candidate = window_[static_cast<size_t>(rank)];
  Sequence* const sequence = candidate.sequence;
  if (IsOnItsWay(*sequence) && !BeginsOnTheBase(*sequence)) return;
  if (!MayPass(*sequence, passed)) return;
  if (candidate.deferred) {
    NoteBlocked(sequence, Blocked::kCluster);
    candidate.verdict = Verdict::kBlocked;
  } else {
    candidate.verdict = TryAdmit(sequence, rank, now);
  }
  if (candidate.blocked()) AddPassed(sequence, passed);
  if (candidate.verdict != Verdict::kAdmitted) return;
  for (Sequence* other : passed->sequences) {
    if (++other->overtaken >= options_.max_overtakes) MakeOverdue(other, passed);
  }
}

// Whether the fairness of tenants lets it pass: the blocked one's may be behind by the slack of
// fair_queue.h, which at equal weights is as many chunks as there may be overtakers.
bool Admission::MayPass(const Sequence& sequence, Passed* passed) {
  const double slack =
      static_cast<double>(options_.max_overtakes) * static_cast<double>(options_.max_prefill_chunk);
  const double counter = sequence.request->tenant->counter;
  if (counter <= passed->least + slack) return true;
  for (Sequence* other : passed->sequences) {
    if (other->request->tenant->counter + slack < counter) MakeOverdue(other, passed);
  }
  return !passed->closed;
}

void Admission::AddPassed(Sequence* sequence, Passed* passed) {
  passed->Add(sequence);
  passed->closed |= sequence->overdue || options_.max_overtakes == 0;
}

// From now on it goes before all others, and while it is blocked nobody is admitted. (It was passed
// by tenants within the slack, so it breaks no bound.)
void Admission::MakeOverdue(Sequence* sequence, Passed* passed) {
  passed->closed = true;
  sequence->overdue = true;
  overdue_.insert(sequence);
}

Verdict Admission::TryAdmit(Sequence* sequence, ReclaimRank rank, absl::Time now) {
  const int64_t adapter_pages = IsCold(*sequence) ? sequence->resident->pages() : 0;
  const auto block = [&](Blocked reason) {
    // Nobody is held up for what the base computes before the adapter is there.
    if (IsOnItsWay(*sequence)) return Verdict::kParked;
    NoteBlocked(sequence, reason);
    return reason == Blocked::kPages ? Verdict::kNoPages : Verdict::kBlocked;
  };
  if (const std::optional<Blocked> limit = StepLimit(*sequence)) return block(*limit);
  const int64_t cached = CachedPages(*sequence);
  sequence->cached_hint = cached * kernels::kPageTokens;
  if (JoinsPrefill(*sequence, cached)) return Verdict::kParked;
  if (!FitsToTheEnd(*sequence, cached, adapter_pages)) return block(Blocked::kPages);

  int64_t wanted = PagesWanted(*sequence, cached);
  if (!active_.empty()) wanted += pool_.watermark_pages;
  if (sequence->preemptions > 0) wanted += active_.size();
  // What it matches cannot be taken back for it.
  wanted += pool_.prefixes.IdlePages(FirstKeys(*sequence, cached));
  if (!pool_.pages.Has(wanted, adapter_pages, rank)) return block(Blocked::kPages);
  if (adapter_pages > 0 && !pool_.residency.MakeLoadRoom(*sequence->resident, rank)) {
    return Verdict::kParked;
  }
  return Enter(sequence, cached, adapter_pages, rank, now) ? Verdict::kAdmitted
                                                           : block(Blocked::kPages);
}

// Whether the base has something to compute for it that is not cached.
bool Admission::BeginsOnTheBase(const Sequence& sequence) const {
  const int64_t from = sequence.request->chain.adapter->from;
  if (sequence.resident->state == ResidencyState::kCancelling || from == 0) return false;
  return !options_.prefix_cache || CachedPages(sequence) * kernels::kPageTokens < from;
}

void Admission::NoteBlocked(Sequence* sequence, Blocked reason) {
  const auto index = static_cast<size_t>(reason);
  if ((sequence->blocked_by >> index & 1) != 0) return;
  sequence->blocked_by |= 1u << index;
  ++num_blocked_[index];
}

// Whether it would run if there was room: its adapter is there or can be loaded, and nobody
// computes its prompt.
bool Admission::IsReady(const Sequence& sequence) const {
  if (IsOnItsWay(sequence)) return false;
  if (IsCold(sequence) && pool_.residency.num_loading() >= options_.max_loads) return false;
  // Nobody is admitted then, so it is all the same.
  if (active_.num_choices() >= options_.max_running) return true;
  return under_way_.empty() || !JoinsPrefill(sequence, CachedPages(sequence));
}

// Enough adapters are in use, and not its own.
bool Admission::IsDeferred(const Sequence& sequence) const {
  return options_.cluster_adapters > 0 && sequence.resident != nullptr &&
         active_.num_adapters() >= options_.cluster_adapters && !active_.Uses(sequence.resident) &&
         !sequence.overdue && sequence.preemptions == 0 && options_.max_overtakes > 0;
}

// The limit of a step that would be broken with it.
std::optional<Blocked> Admission::StepLimit(const Sequence& sequence) const {
  if (active_.num_choices() + sequence.num_choices() > options_.max_running) return Blocked::kRows;
  if (sequence.resident == nullptr || active_.Uses(sequence.resident)) return std::nullopt;
  if (active_.num_adapters() >= options_.max_step_adapters) return Blocked::kAdapters;
  if (active_.rank_sum() + sequence.resident->max_rank > options_.max_step_rank_sum) {
    return Blocked::kRank;
  }
  return std::nullopt;
}

int64_t Admission::CachedPages(const Sequence& sequence) const {
  return options_.prefix_cache ? pool_.prefixes.MatchLength(MatchableKeys(sequence)) : 0;
}

// Somebody computes the first page that this one would compute: it waits and takes it from there.
bool Admission::JoinsPrefill(const Sequence& sequence, int64_t cached) const {
  const std::span<const PrefixKey> keys = MatchableKeys(sequence);
  return options_.prefix_cache && cached < static_cast<int64_t>(keys.size()) &&
         under_way_.Contains(keys[static_cast<size_t>(cached)]);
}

// Alone, a request fits: Intake saw to that.
bool Admission::FitsToTheEnd(const Sequence& sequence, int64_t cached, int64_t adapter_pages) {
  if (active_.empty()) return true;
  const int64_t entering_pages = adapter_pages + IdlePages(sequence);
  if (options_.admission == AdmissionMode::kConservative || sequence.preemptions >= 2) {
    return forecast_.FitsAtMost(&sequence, entering_pages);
  }
  if (options_.admission == AdmissionMode::kOptimistic) return true;
  const int64_t idle = pool_.prefixes.IdlePages(FirstKeys(sequence, cached));
  return forecast_.FitsAsExpected(sequence, {.all = cached, .idle = idle}, entering_pages);
}

// The uncached tokens and a page for each choice that forks. All but conservatives also take room
// to grow, but never past the peak.
int64_t Admission::PagesWanted(const Sequence& sequence, int64_t cached) const {
  int64_t tokens = PagesFor(sequence.num_tokens());
  if (options_.admission != AdmissionMode::kConservative) {
    tokens = std::min(tokens + 1, PagesFor(sequence.peak_tokens()));
  }
  return tokens - cached + sequence.unforked;
}

// Takes all that it needs, or nothing. What it will use is held before anything is given up for it.
bool Admission::Enter(Sequence* sequence, int64_t cached, int64_t adapter_pages, ReclaimRank rank,
                      absl::Time now) {
  Residency::Resident* const resident = sequence->resident;
  PageLease matched = pool_.prefixes.Match(FirstKeys(*sequence, cached));
  if (resident != nullptr) pool_.residency.Hold(resident);
  const int64_t wanted = PagesWanted(*sequence, cached);
  if ((adapter_pages > 0 && !pool_.residency.MakeRoom(rank)) ||
      !pool_.pages.MakeFree(wanted, adapter_pages, rank)) {
    if (resident != nullptr) pool_.residency.Unhold(resident);
    return false;
  }
  TakePages(sequence, std::move(matched), wanted);
  if (adapter_pages > 0) {
    pool_.residency.StartLoad(resident, *pool_.pages.adapters().Acquire(adapter_pages), now);
  }
  Leave(sequence);
  const bool ready = resident == nullptr || resident->state == ResidencyState::kResident;
  sequence->state = ready ? Sequence::State::kRunning : Sequence::State::kLoading;
  sequence->admitted = now;
  active_.Add(sequence);
  Charge(sequence, adapter_pages);
  admitted_.push_back(sequence);
  return true;
}

// Those in the cache, those that the host brings back, and `wanted` new ones.
void Admission::TakePages(Sequence* sequence, PageLease matched, int64_t wanted) {
  const int64_t cached = matched.size();
  PageLease fresh = *pool_.pages.kv().Acquire(wanted);
  sequence->spare = fresh.TakeFrom(PagesFor(sequence->num_tokens()) - cached);
  sequence->pages = std::move(matched);
  sequence->pages.Append(std::move(fresh));
  sequence->published = cached;
  const std::span<const PrefixKey> uncached =
      MatchableKeys(*sequence).subspan(static_cast<size_t>(cached));
  const int64_t restored = pool_.host_tier.MatchLength(uncached);
  for (int64_t i = 0; i < restored; ++i) {
    sequence->restores.push_back(
        {sequence->pages[cached + i], pool_.host_tier.Hold(uncached[static_cast<size_t>(i)])});
  }
  sequence->computed = (cached + restored) * kernels::kPageTokens;
  under_way_.Begin(*sequence, uncached);
}

// Once, when it is first admitted: what it computes, and what was loaded for its sake.
void Admission::Charge(Sequence* sequence, int64_t adapter_pages) {
  if (std::exchange(sequence->charged, true)) return;
  sequence->loaded_pages += adapter_pages;
  const auto uncached = static_cast<double>(sequence->prompt_tokens() - sequence->computed);
  const auto pages = static_cast<double>(sequence->loaded_pages);
  waiting_.Charge(sequence->request->tenant, uncached + options_.adapter_page_price * pages);
}

// Loads begin when a request arrives, in the queue's order, with pages that nobody ahead wants.
void Admission::StageLoads(absl::Time now) {
  for (Residency::Resident* resident : pool_.residency.PinnedOnDisk()) {
    if (!StageLoad(resident, 0, now)) return;
  }
  if (!options_.prefetch_adapters) return;
  for (size_t rank = 0; rank < window_.size(); ++rank) {
    if (window_[rank].verdict == Verdict::kNoPages) return;  // nobody behind gets what is short
    Sequence* const sequence = window_[rank].sequence;
    if (sequence->state != Sequence::State::kWaiting || !IsCold(*sequence)) continue;
    if (!StageLoad(sequence->resident, static_cast<ReclaimRank>(rank), now)) return;
    if (!IsCold(*sequence)) sequence->loaded_pages += sequence->resident->pages();
  }
}

// Begins the load of an adapter on disk, if there are pages that nobody who runs was promised: a
// conservative server promises what everybody needs to his end; any other the watermark,
// and a page to each choice that runs. What runs short nevertheless takes the pages of staged loads
// before anybody is preempted (Scheduler::ReserveDecode). False when those behind must wait too:
// loads follow the queue.
bool Admission::StageLoad(Residency::Resident* resident, ReclaimRank rank, absl::Time now) {
  const int64_t promised =
      pool_.pages.divided() ? 0 : std::max(pool_.watermark_pages, active_.num_choices());
  const int64_t pages = resident->pages();
  if (!pool_.pages.Has(promised, pages, rank)) return true;
  if (options_.admission == AdmissionMode::kConservative && !resident->pinned &&
      !forecast_.FitsAtMost(nullptr, pages)) {
    return true;
  }
  if (!pool_.residency.MakeLoadRoom(*resident, rank)) return false;
  if (!pool_.residency.MakeRoom(rank) || !pool_.pages.MakeFree(0, pages, rank)) return true;
  pool_.residency.StartLoad(resident, *pool_.pages.adapters().Acquire(pages), now);
  return true;
}

}  // namespace chorus::engine
