#include "engine/text/bpe_merger.h"

#include <algorithm>

namespace chorus::engine {
namespace {

constexpr int32_t kGone = -1;
constexpr int32_t kNone = -1;

constexpr auto kLater = [](const auto& a, const auto& b) { return a.order > b.order; };

}  // namespace

void BpeMerger::Scratch::Push(int32_t id) {
  const auto place = static_cast<int32_t>(symbols_.size());
  if (place > 0) symbols_.back().next = place;
  symbols_.push_back({id, place - 1, kNone});
}

void BpeMerger::Add(int32_t left, int32_t right, int32_t rank, int32_t merged_id) {
  merges_.insert_or_assign(Key(left, right), Merge{rank, merged_id});
}

const BpeMerger::Merge* BpeMerger::Find(int32_t left, int32_t right) const {
  const auto found = merges_.find(Key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

// Puts the merge of the symbol at `place` with its right neighbour on the heap, if there is one.
void BpeMerger::Offer(int32_t place, Scratch* scratch) const {
  if (place == kNone) return;
  const Scratch::Symbol& left = scratch->symbols_[static_cast<size_t>(place)];
  if (left.next == kNone) return;
  const Merge* const merge = Find(left.id, scratch->symbols_[static_cast<size_t>(left.next)].id);
  if (merge == nullptr) return;
  const uint64_t order = static_cast<uint64_t>(merge->rank) << 32 | static_cast<uint32_t>(place);
  scratch->heap_.push_back({order, merge->merged_id});
}

void BpeMerger::Run(Scratch* scratch, std::vector<int32_t>* ids) const {
  std::vector<Scratch::Symbol>& symbols = scratch->symbols_;
  std::vector<Scratch::Candidate>& heap = scratch->heap_;
  heap.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) Offer(static_cast<int32_t>(i), scratch);
  std::make_heap(heap.begin(), heap.end(), kLater);
  const auto offer = [&](int32_t place) {
    const size_t before = heap.size();
    Offer(place, scratch);
    if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), kLater);
  };
  while (!heap.empty()) {
    const Scratch::Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), kLater);
    heap.pop_back();
    const auto place = static_cast<int32_t>(best.order & 0xFFFFFFFFu);
    Scratch::Symbol& left = symbols[static_cast<size_t>(place)];
    if (left.id == kGone || left.next == kNone) continue;
    Scratch::Symbol& right = symbols[static_cast<size_t>(left.next)];
    const Merge* const merge = Find(left.id, right.id);
    if (merge == nullptr || merge->merged_id != best.merged_id) continue;  // out of date
    left.id = best.merged_id;
    left.next = right.next;
    right.id = kGone;
    if (right.next != kNone) symbols[static_cast<size_t>(right.next)].previous = place;
    offer(left.previous);
    offer(place);
  }
  for (const Scratch::Symbol& symbol : symbols) {
    if (symbol.id != kGone) ids->push_back(symbol.id);
  }
}

}  // namespace chorus::engine
