// Who enters the pool: Scheduler::Admit and what it asks.
#include <algorithm>
#include <vector>

#include "engine/schedule/peak_pages.h"
#include "engine/schedule/scheduler.h"
#include "kernels/check.h"

namespace chorus::engine {
namespace {

// Sequences at the head of the queue that one step looks at.
constexpr ReclaimRank kAdmissionWindow = 64;

std::span<const PrefixKey> MatchableKeys(const Sequence& sequence) {
  // A hit always leaves a token to compute: its logits are what the next token is drawn from.
  const int64_t pages = std::min<int64_t>(static_cast<int64_t>(sequence.keys.size()),
                                          (sequence.num_tokens() - 1) / kernels::kPageTokens);
  return std::span(sequence.keys).first(static_cast<size_t>(pages));
}

}  // namespace

void Scheduler::Admit(absl::Time now) {
  residency_.ClearWaiterRanks();
  std::vector<Sequence*> window;
  for (Sequence* sequence : waiting_) {
    if (static_cast<ReclaimRank>(window.size()) == kAdmissionWindow) break;
    if (sequence->resident != nullptr) {
      residency_.SetWaiterRank(sequence->resident, static_cast<ReclaimRank>(window.size()));
    }
    window.push_back(sequence);
  }
  residency_.OrderLoads();
  std::vector<Sequence*> blocked;
  size_t first_without_pages = window.size();
  for (size_t rank = 0; rank < window.size(); ++rank) {
    const Verdict verdict = TryAdmit(window[rank], static_cast<ReclaimRank>(rank), now);
    if (verdict == Verdict::kNoPages) first_without_pages = std::min(first_without_pages, rank);
    if (verdict == Verdict::kBlocked || verdict == Verdict::kNoPages) {
      blocked.push_back(window[rank]);
      if (window[rank]->overtaken >= options_.max_overtakes) break;
    } else if (verdict == Verdict::kAdmitted) {
      bool exhausted = false;
      for (Sequence* passed : blocked) {
        exhausted |= ++passed->overtaken >= options_.max_overtakes;
      }
      if (exhausted) break;
    }
  }
  window.resize(first_without_pages);  // nobody behind gets pages that are short
  StageLoads(window, now);
}

Scheduler::Verdict Scheduler::TryAdmit(Sequence* sequence, ReclaimRank rank, absl::Time now) {
  Residency::Resident* resident = sequence->resident;
  int64_t adapter_pages = 0;
  if (resident != nullptr && resident->state != ResidencyState::kResident) {
    if (resident->state != ResidencyState::kDisk) return Verdict::kParked;
    adapter_pages = resident->pages();
  }
  if (!WithinStepLimits(*sequence)) return Verdict::kBlocked;
  const int64_t cached =
      options_.prefix_cache ? prefixes_.MatchLength(MatchableKeys(*sequence)) : 0;
  if (JoinsPrefill(*sequence, cached)) return Verdict::kParked;
  const bool conservative =
      options_.admission == AdmissionMode::kConservative || sequence->preemptions >= 2;
  // Alone, a request fits: Validate saw to that.
  if (conservative && !active_.empty() && !FitsPeak(sequence, adapter_pages)) {
    return Verdict::kNoPages;
  }

  int64_t wanted = PagesWanted(*sequence, cached);
  if (!active_.empty()) wanted += watermark_pages_;
  if (sequence->preemptions > 0) wanted += static_cast<int64_t>(active_.size());
  // What it matches cannot be taken back for it.
  wanted += prefixes_.IdlePages(MatchableKeys(*sequence).first(static_cast<size_t>(cached)));
  if (!pages_.Has(wanted, adapter_pages, rank)) return Verdict::kNoPages;
  if (adapter_pages > 0 && !residency_.MakeLoadRoom(*resident, rank)) return Verdict::kParked;
  return Reserve(sequence, cached, adapter_pages, rank, now) ? Verdict::kAdmitted
                                                             : Verdict::kNoPages;
}

bool Scheduler::WithinStepLimits(const Sequence& sequence) const {
  int64_t choices = sequence.num_choices();
  int64_t rank_sum = sequence.resident == nullptr ? 0 : sequence.resident->max_rank;
  absl::flat_hash_set<const Residency::Resident*> adapters;
  if (sequence.resident != nullptr) adapters.insert(sequence.resident);
  for (const Sequence* other : active_) {
    choices += other->num_choices();
    if (other->resident != nullptr && adapters.insert(other->resident).second) {
      rank_sum += other->resident->max_rank;
    }
  }
  return choices <= options_.max_running &&
         static_cast<int64_t>(adapters.size()) <= options_.max_step_adapters &&
         rank_sum <= options_.max_step_rank_sum;
}

// Somebody computes the first page that this one would compute: it waits and takes it from there.
bool Scheduler::JoinsPrefill(const Sequence& sequence, int64_t cached) const {
  const std::span<const PrefixKey> keys = MatchableKeys(sequence);
  return options_.prefix_cache && cached < static_cast<int64_t>(keys.size()) &&
         computing_.contains(keys[static_cast<size_t>(cached)]);
}

// Whether everything that runs, `entering` (if not null) and `adapter_pages` to be loaded fit
// together to their ends, beside the pin budget.
bool Scheduler::FitsPeak(const Sequence* entering, int64_t adapter_pages) const {
  std::vector<PeakItem> items;
  const auto add = [&items](const Sequence& s, bool decoding) {
    for (int32_t i = 0; i < s.num_choices(); ++i) {
      items.push_back({s.num_tokens(), s.peak_tokens() - s.num_tokens(), decoding});
    }
  };
  for (const Sequence* other : active_) {
    add(*other, other->state == Sequence::State::kRunning &&
                    other->num_tokens() - other->computed == 1 && other->unforked == 0);
  }
  int64_t adapters = residency_.num_pages() - residency_.ReclaimablePages(kAnyone) + adapter_pages;
  adapters += pin_pages_ - residency_.num_pinned_pages();
  if (entering != nullptr) {
    add(*entering, false);
    if (entering->resident != nullptr && entering->resident->idle()) {
      adapters += entering->resident->pages();
    }
  }
  return pages_.Holds(PeakPages(items), adapters);
}

// The uncached tokens and a page for each choice that forks. Optimists also take room to grow, but
// never past the peak.
int64_t Scheduler::PagesWanted(const Sequence& sequence, int64_t cached) const {
  int64_t tokens = PagesFor(sequence.num_tokens());
  if (options_.admission == AdmissionMode::kOptimistic) {
    tokens = std::min(tokens + 1, PagesFor(sequence.peak_tokens()));
  }
  return tokens - cached + sequence.unforked;
}

bool Scheduler::Reserve(Sequence* sequence, int64_t cached, int64_t adapter_pages, ReclaimRank rank,
                        absl::Time now) {
  Residency::Resident* resident = sequence->resident;
  // What it will use is held before anything is given up for it.
  PageLease pages = prefixes_.Match(MatchableKeys(*sequence).first(static_cast<size_t>(cached)));
  if (resident != nullptr) residency_.Hold(resident);
  const int64_t wanted = PagesWanted(*sequence, cached);
  if ((adapter_pages > 0 && !residency_.MakeRoom(rank)) ||
      !pages_.MakeFree(wanted, adapter_pages, rank)) {
    if (resident != nullptr) residency_.Unhold(resident);
    return false;
  }
  PageLease fresh = *pages_.kv().Acquire(wanted);
  sequence->spare = fresh.TakeFrom(PagesFor(sequence->num_tokens()) - cached);
  pages.Append(std::move(fresh));
  sequence->pages = std::move(pages);
  sequence->published = cached;
  const std::span<const PrefixKey> uncached =
      MatchableKeys(*sequence).subspan(static_cast<size_t>(cached));
  const int64_t restored = host_tier_.MatchLength(uncached);
  for (int64_t i = 0; i < restored; ++i) {
    sequence->restores.push_back(
        {sequence->pages[cached + i], host_tier_.Hold(uncached[static_cast<size_t>(i)])});
  }
  sequence->computed = (cached + restored) * kernels::kPageTokens;
  waiting_.Remove(sequence);
  if (adapter_pages > 0)
    residency_.StartLoad(resident, *pages_.adapters().Acquire(adapter_pages), now);
  const bool ready = resident == nullptr || resident->state == ResidencyState::kResident;
  sequence->state = ready ? Sequence::State::kRunning : Sequence::State::kLoading;
  if (resident != nullptr) residency_.RemoveWaiter(resident);
  active_.insert(
      std::upper_bound(active_.begin(), active_.end(), sequence,
                       [](const Sequence* a, const Sequence* b) { return a->OlderThan(*b); }),
      sequence);
  for (size_t i = static_cast<size_t>(cached); i < MatchableKeys(*sequence).size(); ++i) {
    computing_.try_emplace(sequence->keys[i], sequence);
  }
  if (sequence->preemptions == 0) {
    counters_.prompt_tokens_looked_up += sequence->request->spec.prompt.size();
    counters_.prompt_tokens_cached += static_cast<uint64_t>(sequence->computed);
  }
  Request* request = sequence->request;
  if (!request->admitted) {
    request->admitted = true;
    Push(request, {.kind = StreamEvent::Kind::kAdmitted,
                   .choice = sequence->choice,
                   .cached_tokens = static_cast<int32_t>(sequence->computed),
                   .queue_time = now - request->submitted});
  }
  return true;
}

// Loads begin when a request arrives, in the queue's order, with pages that nobody ahead wants and
// that nobody who runs was promised: a conservative server promises what everybody needs to his
// end; an optimistic one the watermark, and a page to each choice that runs. What runs short
// nevertheless takes the pages of staged loads before anybody is preempted (ReserveDecode).
void Scheduler::StageLoads(std::span<Sequence* const> window, absl::Time now) {
  int64_t growth = 0;
  for (const Sequence* sequence : active_) growth += sequence->num_choices();
  const int64_t promised = pages_.divided() ? 0 : std::max(watermark_pages_, growth);
  // False when those behind must wait too: loads follow the queue.
  const auto try_load = [&](Residency::Resident* resident, ReclaimRank rank) {
    if (resident->state != ResidencyState::kDisk) return true;
    const int64_t pages = resident->pages();
    if (!pages_.Has(promised, pages, rank)) return true;
    if (options_.admission == AdmissionMode::kConservative && !resident->pinned &&
        !FitsPeak(nullptr, pages)) {
      return true;
    }
    if (!residency_.MakeLoadRoom(*resident, rank)) return false;
    if (!residency_.MakeRoom(rank) || !pages_.MakeFree(0, pages, rank)) return true;
    residency_.StartLoad(resident, *pages_.adapters().Acquire(pages), now);
    return true;
  };
  for (Residency::Resident* resident : residency_.PinnedOnDisk()) {
    if (!try_load(resident, 0)) return;
  }
  if (!options_.prefetch_adapters) return;
  for (size_t rank = 0; rank < window.size(); ++rank) {
    const Sequence& sequence = *window[rank];
    if (sequence.state != Sequence::State::kWaiting || sequence.resident == nullptr) continue;
    if (!try_load(sequence.resident, static_cast<ReclaimRank>(rank))) return;
  }
}

}  // namespace chorus::engine
