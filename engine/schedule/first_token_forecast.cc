#include "engine/schedule/first_token_forecast.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace chorus::engine {

FirstTokenForecast::FirstTokenForecast(const EngineOptions& options, const Pace& pace,
                                       const ActiveSet& active, int64_t free_pages)
    : options_(options), pace_(pace), running_(active.num_choices()), free_pages_(free_pages) {
  double least = std::numeric_limits<double>::infinity();
  for (const Sequence* sequence : active) {
    sequence_pages_ += sequence->pages.size() + sequence->spare.size();
    const int64_t drawn = static_cast<int64_t>(sequence->output.size());
    ends_.insert(ends_.end(), static_cast<size_t>(sequence->num_choices()),
                 sequence->request->spec.max_tokens - drawn);
    if (sequence->num_tokens() - sequence->computed > 1) {
      least = std::min(least, sequence->request->tenant->prompt_clock);
    } else {
      ++decodes_;
    }
  }
  if (least != std::numeric_limits<double>::infinity()) time_ = least;
  std::sort(ends_.begin(), ends_.end());
  for (const Sequence* sequence : active) {
    const int64_t left = sequence->num_tokens() - sequence->computed;
    if (left > 1) AddRows(*sequence->request->tenant, static_cast<double>(left));
  }
}

absl::Duration FirstTokenForecast::Ask(const Wish& wish) const {
  const auto rows = static_cast<double>(wish.rows);
  return std::max(TimeOf(RowsAhead(wish) + rows, rows),
                  std::max(wish.load, RoomIn(wish)) + TimeOf(rows, rows));
}

void FirstTokenForecast::Count(const Wish& wish) {
  AddRows(*wish.tenant, static_cast<double>(wish.rows));
  ahead_ += wish.choices;
  free_pages_ -= wish.pages;
}

void FirstTokenForecast::AddRows(const Tenant& tenant, double rows) {
  const auto [lane, added] = lanes_.try_emplace(&tenant);
  if (added) lane->second.clock = ClockOf(tenant);
  lane->second.rows += rows;
}

double FirstTokenForecast::ClockOf(const Tenant& tenant) const {
  return std::max(tenant.prompt_clock, time_);
}

// What PromptTurns gives others, and its tenant's older ones, before its last row.
double FirstTokenForecast::RowsAhead(const Wish& wish) const {
  const auto own = lanes_.find(wish.tenant);
  const double older = own == lanes_.end() ? 0.0 : own->second.rows;
  const double begin = own == lanes_.end() ? ClockOf(*wish.tenant) : own->second.clock;
  const double end = begin + (older + static_cast<double>(wish.rows)) / wish.tenant->weight;
  double rows = older;
  for (const auto& [tenant, lane] : lanes_) {
    if (tenant == wish.tenant) continue;
    rows += std::clamp((end - lane.clock) * tenant->weight, 0.0, lane.rows);
  }
  return rows;
}

// Of so many rows of prompts, the last of which belong to one of `own_rows`.
absl::Duration FirstTokenForecast::TimeOf(double rows, double own_rows) const {
  const double room = std::max(1.0, options_.max_step_tokens - decodes_);
  const double chunk = std::min<double>(options_.max_prefill_chunk, room);
  const double full = std::floor(rows / room);
  const double rest = rows - full * room;
  absl::Duration time = pace_.StepTime(options_.max_step_tokens) * full;
  if (rest > 0) time += pace_.StepTime(decodes_ + rest);
  const double short_of = std::ceil(own_rows / chunk) - std::ceil(rows / room);
  if (short_of > 0) time += pace_.StepTime(decodes_ + chunk) * short_of;
  return time;
}

// Until there are rows and pages for it.
absl::Duration FirstTokenForecast::RoomIn(const Wish& wish) const {
  double ending = static_cast<double>(running_ + ahead_ + wish.choices - options_.max_running);
  if (wish.pages > free_pages_ && sequence_pages_ > 0) {
    const double each = static_cast<double>(sequence_pages_) / static_cast<double>(running_);
    ending = std::max(ending, static_cast<double>(wish.pages - free_pages_) / each);
  }
  if (ending <= 0) return absl::ZeroDuration();
  const absl::Duration mean =
      pace_.sequence_time() * (ending / static_cast<double>(std::max<int64_t>(running_, 1)));
  const auto last = static_cast<size_t>(std::ceil(ending));
  if (last > ends_.size()) return mean;
  const absl::Duration most =
      pace_.StepTime(options_.max_step_tokens) * static_cast<double>(ends_[last - 1]);
  return std::min(mean, most);
}

}  // namespace chorus::engine
