#include "engine/schedule/page_forecast.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "engine/schedule/peak_pages.h"

namespace chorus::engine {
namespace {

int64_t OutputOf(const Sequence& sequence) { return static_cast<int64_t>(sequence.output.size()); }

bool IsDecoding(const Sequence& sequence) {
  return sequence.state == Sequence::State::kRunning &&
         sequence.num_tokens() - sequence.computed == 1 && sequence.unforked == 0;
}

// Pages at its front that others hold too: who holds one holds all before it.
int64_t SharedPages(const Sequence& sequence, const PagePool& pool) {
  const std::span<const PageId> ids = sequence.pages.ids();
  return std::partition_point(ids.begin(), ids.end(), [&](PageId id) { return pool.shared(id); }) -
         ids.begin();
}

}  // namespace

void PageForecast::NoteAnswer(const Sequence& sequence) {
  lengths_.Add(OutputOf(sequence), sequence.request->spec.max_tokens);
}

void PageForecast::BeginStep() {
  too_large_.reset();
  too_large_as_expected_.fill(std::nullopt);
}

bool PageForecast::FitsAtMost(const Sequence* entering, int64_t adapter_pages) {
  if (entering == nullptr) return ComputeFitsAtMost(nullptr, adapter_pages);
  const Wish wish{.tokens = entering->num_tokens(),
                  .remaining = entering->peak_tokens() - entering->num_tokens(),
                  .choices = entering->num_choices(),
                  .other_pages = adapter_pages};
  if (too_large_.has_value() && wish.IsAtLeast(*too_large_)) return false;
  if (ComputeFitsAtMost(entering, adapter_pages)) return true;
  too_large_ = wish;
  return false;
}

bool PageForecast::ComputeFitsAtMost(const Sequence* entering, int64_t adapter_pages) const {
  std::vector<PeakItem> items;
  const auto add = [&items](const Sequence& s, bool decoding) {
    for (int32_t i = 0; i < s.num_choices(); ++i) {
      items.push_back({s.num_tokens(), s.peak_tokens() - s.num_tokens(), decoding});
    }
  };
  for (const Sequence* other : active_) add(*other, IsDecoding(*other));
  if (entering != nullptr) add(*entering, false);
  const Residency& residency = pool_.residency;
  const int64_t adapters = residency.num_pages() - residency.ReclaimablePages(kAnyone) +
                           adapter_pages + pool_.pin_pages - residency.num_pinned_pages();
  return pool_.pages.Holds(PeakPages(std::move(items)), adapters);
}

bool PageForecast::FitsAsExpected(const Sequence& entering, const FoundPages& found,
                                  int64_t adapter_pages) {
  const Growing growing = GrowingOf(entering, found.all);
  const Wish wish{.tokens = growing.tokens,
                  .remaining = growing.rest(),
                  .choices = growing.choices,
                  .other_pages = found.idle + adapter_pages};
  std::optional<Wish>& too_large = too_large_as_expected_[AnswerLengths::KindOf(growing.limit)];
  if (too_large.has_value() && wish.IsAtLeast(*too_large)) return false;
  if (ComputeFitsAsExpected(growing, found.idle, adapter_pages)) return true;
  too_large = wish;
  return false;
}

bool PageForecast::ComputeFitsAsExpected(const Growing& entering, int64_t idle_prefixes,
                                         int64_t adapter_pages) const {
  std::vector<Growing> growing;
  int64_t staying = pool_.num_sequence_pages() + idle_prefixes;  // pages
  int64_t longest = 0, most = 0;
  const auto add = [&](const Growing& one) {
    if (!lengths_.Knows(one.output, one.limit)) {
      staying += one.choices * PagesFor(one.tokens);
      return;
    }
    growing.push_back(one);
    longest = std::max(longest, one.rest());
    most += one.choices * PagesFor(one.tokens + one.rest());
  };
  add(entering);
  for (const Sequence* other : active_) {
    const int64_t shared = SharedPages(*other, pool_.pages.kv());
    staying -= other->pages.size() - shared + other->spare.size();
    add(GrowingOf(*other, shared));
  }
  const Residency& residency = pool_.residency;
  const int64_t adapters =
      residency.num_pages() - residency.ReclaimablePages(kAnyone) + adapter_pages;
  const auto fits = [&](int64_t pages) {
    return pool_.pages.Holds(pages + staying + pool_.watermark_pages, adapters);
  };
  if (fits(most)) return true;
  // From page to page at first, then by eighths of the way: in each interval who is there at its
  // begin, with what he has at its end.
  for (int64_t begin = 0; begin < longest;) {
    const int64_t end = begin + std::max<int64_t>(kernels::kPageTokens, begin / 8);
    double pages = 0.0, variance = 0.0;
    for (const Growing& one : growing) {
      const double survival = lengths_.Survival(one.output, begin + 1, one.limit);
      const auto wanted = static_cast<double>(PagesFor(one.tokens + std::min(end, one.rest())));
      const auto choices = static_cast<double>(one.choices);
      pages += choices * survival * wanted;
      variance += choices * survival * (1.0 - survival) * wanted * wanted;
    }
    // With nothing to spare, half of the time somebody would be preempted.
    if (!fits(static_cast<int64_t>(pages + std::sqrt(variance)))) return false;
    begin = end;
  }
  return true;
}

PageForecast::Growing PageForecast::GrowingOf(const Sequence& sequence, int64_t shared_pages) {
  return {.tokens = sequence.num_tokens() - shared_pages * kernels::kPageTokens,
          .output = OutputOf(sequence),
          .choices = sequence.num_choices(),
          .limit = sequence.request->spec.max_tokens};
}

}  // namespace chorus::engine
