#include "engine/schedule/prompt_turns.h"

#include <algorithm>
#include <limits>

namespace chorus::engine {

void PromptTurns::Begin(const std::vector<Sequence*>& sequences) {
  ++step_;
  sequences_ = sequences;
  lanes_.clear();
  std::stable_sort(sequences_.begin(), sequences_.end(), [](const Sequence* a, const Sequence* b) {
    return a->request->tenant->turn < b->request->tenant->turn;
  });
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < sequences_.size(); ++i) {
    Tenant* const tenant = sequences_[i]->request->tenant;
    if (lanes_.empty() || lanes_.back().tenant != tenant) {
      lanes_.push_back({tenant, i, i});
      if (tenant->prompt_step + 1 == step_) least = std::min(least, tenant->prompt_clock);
    }
    ++lanes_.back().end;
  }
  if (least != std::numeric_limits<double>::infinity()) time_ = std::max(time_, least);
  for (const Lane& lane : lanes_) {
    lane.tenant->prompt_clock = std::max(lane.tenant->prompt_clock, time_);
    lane.tenant->prompt_step = step_;
  }
  std::make_heap(lanes_.begin(), lanes_.end(), Later);
}

Sequence* PromptTurns::Next() {
  if (lanes_.empty()) return nullptr;
  std::pop_heap(lanes_.begin(), lanes_.end(), Later);
  return sequences_[lanes_.back().next++];
}

void PromptTurns::Took(int64_t rows) {
  Lane& lane = lanes_.back();
  lane.tenant->prompt_clock += static_cast<double>(rows) / lane.tenant->weight;
  if (lane.next == lane.end) return lanes_.pop_back();
  std::push_heap(lanes_.begin(), lanes_.end(), Later);
}

bool PromptTurns::Later(const Lane& a, const Lane& b) {
  const double x = a.tenant->prompt_clock, y = b.tenant->prompt_clock;
  return x != y ? x > y : a.tenant->turn > b.tenant->turn;
}

}  // namespace chorus::engine
