#include "engine/schedule/host_tier.h"

#include <algorithm>
#include <optional>

#include "kernels/device/pool_view.h"

namespace chorus::engine {
namespace {

// Of a step's time, for pages that nobody is known to come back to.
constexpr double kIdleShare = 0.05;

}  // namespace

void HostTier::Left(std::span<const PrefixKey> keys, bool preempted) {
  if (num_slots() == 0) return;
  // The last ones first: in that order they are reclaimed.
  if (preempted) {
    urgent_.insert(urgent_.end(), keys.rbegin(), keys.rend());
    return;
  }
  left_.insert(left_.end(), keys.rbegin(), keys.rend());
  const int64_t too_many = std::ssize(left_) - num_slots();
  if (too_many > 0) left_.erase(left_.begin(), left_.begin() + too_many);
}

std::vector<kernels::HostPageCopy> HostTier::PlanSaves() {
  std::vector<kernels::HostPageCopy> saves;
  if (!worthwhile()) {
    urgent_.clear();
    return saves;
  }
  const int64_t most = pages_.num_slots() - pages_.num_held();  // a slot is written once a step
  const auto save = [&](const PrefixKey& key) {
    if (std::ssize(saves) == most || pages_.Contains(key)) return;
    const std::optional<PrefixCache::IdlePage> idle = prefixes_.FindIdle(key);
    if (!idle.has_value()) return;  // reclaimed, or in use: then its user leaves it again
    const std::optional<int32_t> slot = pages_.Add(key, idle->owner);
    if (slot.has_value()) saves.push_back({idle->page, *slot});
  };
  for (const PrefixKey& key : urgent_) save(key);
  urgent_.clear();
  const auto share = static_cast<int64_t>(absl::FDivDuration(step_time_, page_time_) * kIdleShare);
  const int64_t few = std::min(most, std::max<int64_t>(1, share));
  while (!left_.empty() && std::ssize(saves) < few) {
    save(left_.front());
    left_.pop_front();
  }
  num_saved_ += saves.size();
  return saves;
}

void HostTier::NoteStep(absl::Duration step_time, absl::Duration row_time) {
  step_time_ = step_time;
  row_time_ = row_time;
}

int64_t HostTier::MatchLength(std::span<const PrefixKey> keys) const {
  return worthwhile() ? pages_.MatchLength(keys) : 0;
}

void HostTier::Release(std::span<const kernels::HostPageCopy> restores, bool restored) {
  for (const kernels::HostPageCopy& restore : restores) pages_.Release(restore.slot);
  if (restored) num_restored_ += restores.size();
}

// Both ways together beside computing a page; where that is not known yet, bringing back wins.
bool HostTier::worthwhile() const {
  if (num_slots() == 0) return false;
  return row_time_ == absl::ZeroDuration() || 2 * page_time_ < kernels::kPageTokens * row_time_;
}

}  // namespace chorus::engine
