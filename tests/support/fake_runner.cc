#include "tests/support/fake_runner.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "kernels/check.h"

namespace chorus::engine {
namespace {

constexpr uint64_t kStart = 0x243f6a8885a308d3;

uint64_t Mix(uint64_t hash, uint64_t value) {  // SplitMix64's finaliser
  hash += value + 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

// What an adapter does, wherever it lies.
uint64_t Fingerprint(const std::vector<kernels::LoraModuleEntry>& modules) {
  uint64_t hash = 1;
  for (const kernels::LoraModuleEntry& entry : modules) {
    hash = Mix(hash, static_cast<uint64_t>(entry.rank));
    hash = Mix(hash, std::bit_cast<uint32_t>(entry.scale));
  }
  return hash;
}

// Where `tokens` stand for the last time; beyond every position where they do not.
size_t LastStart(std::span<const int32_t> prompt, const std::vector<int32_t>& tokens) {
  for (size_t start = prompt.size(); start-- > 0;) {
    if (start + tokens.size() > prompt.size()) continue;
    if (std::equal(tokens.begin(), tokens.end(), prompt.begin() + static_cast<ptrdiff_t>(start))) {
      return start;
    }
  }
  return std::numeric_limits<size_t>::max();
}

int32_t Draw(uint64_t hash, uint64_t seed, int32_t choice, int64_t position) {
  hash = Mix(Mix(Mix(hash, seed), static_cast<uint64_t>(choice)), static_cast<uint64_t>(position));
  return static_cast<int32_t>(hash % FakeRunner::kVocabulary);
}

}  // namespace

FakeRunner::FakeRunner(const kernels::PoolView& view, const RunnerLimits& limits)
    : view_(view),
      limits_(limits),
      pages_(static_cast<size_t>(view.num_ids)),
      host_pages_(static_cast<size_t>(limits.host_pages)) {}

absl::StatusOr<StepResult> FakeRunner::Run(const StepPlan& plan) {
  ApplySlotChanges(plan);
  CheckPlan(plan);
  CheckLimits(plan);
  MoveHostPages(plan);
  CheckCrossings(plan);
  for (const kernels::PageCopy& copy : plan.page_copies) {
    pages_[static_cast<size_t>(copy.to)] = pages_[static_cast<size_t>(copy.from)];
  }
  std::vector<uint64_t> fingerprints(plan.tokens.size(), 0);
  for (const kernels::LoraSegment& segment : plan.segments) {
    for (int32_t i = 0; i < segment.num_rows; ++i) {
      fingerprints[static_cast<size_t>(segment.first_row + i)] =
          Fingerprint(slots_.at(segment.slot)->modules);
    }
  }
  std::vector<uint64_t> hashes(plan.tokens.size());
  for (size_t s = 0; s + 1 < plan.sequence_rows_begin.size(); ++s) {
    const std::span<const int32_t> table =
        std::span(plan.page_ids)
            .subspan(static_cast<size_t>(plan.page_begin[s]),
                     static_cast<size_t>(plan.page_begin[s + 1] - plan.page_begin[s]));
    for (int32_t i = plan.sequence_rows_begin[s]; i < plan.sequence_rows_begin[s + 1]; ++i) {
      const auto row = static_cast<size_t>(plan.sequence_rows[static_cast<size_t>(i)]);
      const int32_t position = plan.positions[row];
      uint64_t hash = kStart;
      if (position > 0) {
        const auto page = static_cast<size_t>(table[(position - 1) / kernels::kPageTokens]);
        hash = pages_[page][static_cast<size_t>((position - 1) % kernels::kPageTokens)];
      }
      hash = Mix(Mix(hash, static_cast<uint64_t>(plan.tokens[row])), fingerprints[row]);
      hashes[row] = hash;
      pages_[static_cast<size_t>(plan.row_pages[row])]
            [static_cast<size_t>(position % kernels::kPageTokens)] = hash;
    }
  }
  StepResult result;
  for (const PlannedSample& sample : plan.samples) {
    result.tokens.push_back({Draw(hashes[static_cast<size_t>(sample.row)], sample.params->seed,
                                  sample.choice, sample.position)});
  }
  return result;
}

std::vector<int32_t> FakeRunner::ExpectedTokens(std::span<const int32_t> prompt,
                                                const AdapterVersion* adapter, uint64_t seed,
                                                int32_t choice, int count) {
  size_t from = adapter == nullptr ? std::numeric_limits<size_t>::max() : 0;
  if (adapter != nullptr && !adapter->invocation().empty()) {
    from = LastStart(prompt, adapter->invocation());
  }
  uint64_t hash = kStart;
  size_t position = 0;
  const auto take = [&](int32_t token) {
    hash = Mix(Mix(hash, static_cast<uint64_t>(token)),
               position++ < from ? 0 : Fingerprint(adapter->layout().modules));
  };
  for (int32_t token : prompt) take(token);
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(Draw(hash, seed, choice, static_cast<int64_t>(prompt.size()) + i));
    take(tokens.back());
  }
  return tokens;
}

void FakeRunner::CheckLimits(const StepPlan& plan) const {
  CHORUS_CHECK_LE(static_cast<int64_t>(plan.page_ids.size()), limits_.max_step_pages);
  int64_t penalties = 0;
  int64_t biases = 0;
  for (const PlannedSample& sample : plan.samples) {
    std::set<int32_t> ids(sample.output.begin(), sample.output.end());
    if (sample.params->repetition_penalty != 1.0f) {
      ids.insert(sample.prompt.begin(), sample.prompt.end());
    }
    penalties += static_cast<int64_t>(ids.size());
    biases += static_cast<int64_t>(sample.params->logit_bias.size());
  }
  CHORUS_CHECK_LE(penalties, limits_.max_step_penalties);
  CHORUS_CHECK_LE(biases, limits_.max_step_biases);
  for (const auto& [slot, contents] : slots_) {
    CHORUS_CHECK_LT(slot, limits_.max_adapters);
    for (const kernels::LoraModuleEntry& entry : contents->modules) {
      CHORUS_CHECK_LE(entry.rank, limits_.max_adapter_rank);
    }
  }
}

// Of the sequences whose first row is the base's and whose last is an adapter's.
void FakeRunner::CheckCrossings(const StepPlan& plan) {
  const auto slot_of = [&](int32_t row) {
    for (const kernels::LoraSegment& segment : plan.segments) {
      if (row >= segment.first_row && row < segment.first_row + segment.num_rows) {
        return segment.slot;
      }
    }
    return -1;
  };
  int64_t ranks = 0;
  for (size_t s = 0; s + 1 < plan.sequence_rows_begin.size(); ++s) {
    const auto begin = static_cast<size_t>(plan.sequence_rows_begin[s]);
    const auto end = static_cast<size_t>(plan.sequence_rows_begin[s + 1]);
    const int32_t slot = slot_of(plan.sequence_rows[end - 1]);
    if (slot == slot_of(plan.sequence_rows[begin])) continue;
    ranks += (slots_.at(slot)->modules[0].rank + 7) / 8 * 8;
    ++num_crossings_;
  }
  CHORUS_CHECK_LE(ranks, limits_.max_step_crossing_ranks);
}

void FakeRunner::CheckPlan(const StepPlan& plan) const {
  const size_t rows = plan.tokens.size();
  CHORUS_CHECK_EQ(plan.positions.size(), rows);
  CHORUS_CHECK_EQ(plan.row_pages.size(), rows);
  CHORUS_CHECK_EQ(plan.sequence_rows.size(), rows);
  std::set<int32_t> adapter_ids;
  for (const auto& [slot, contents] : slots_) {
    for (int32_t cell : contents->cells) {
      adapter_ids.insert(static_cast<int32_t>(cell % view_.num_ids));
    }
  }
  std::set<int32_t> seen_rows;
  std::set<std::pair<int32_t, int32_t>> written;  // page, token in page
  for (size_t s = 0; s + 1 < plan.sequence_rows_begin.size(); ++s) {
    int32_t last = -1;
    for (int32_t i = plan.sequence_rows_begin[s]; i < plan.sequence_rows_begin[s + 1]; ++i) {
      const int32_t row = plan.sequence_rows[static_cast<size_t>(i)];
      CHORUS_CHECK(seen_rows.insert(row).second);
      const int32_t position = plan.positions[static_cast<size_t>(row)];
      CHORUS_CHECK_GT(position, last);
      last = position;
      const int32_t page = plan.row_pages[static_cast<size_t>(row)];
      const int32_t in_table = plan.page_begin[s] + position / kernels::kPageTokens;
      CHORUS_CHECK_LT(in_table, plan.page_begin[s + 1]);
      CHORUS_CHECK_EQ(page, plan.page_ids[static_cast<size_t>(in_table)]);
      CHORUS_CHECK(written.insert({page, position % kernels::kPageTokens}).second);
      CHORUS_CHECK(!adapter_ids.contains(page));
    }
  }
  CHORUS_CHECK_EQ(seen_rows.size(), rows);
}

void FakeRunner::MoveHostPages(const StepPlan& plan) {
  std::set<int32_t> slots;
  std::set<int32_t> pages;
  for (const kernels::HostPageCopy& save : plan.saves) {
    CHORUS_CHECK(slots.insert(save.slot).second);
    host_pages_.at(static_cast<size_t>(save.slot)) = pages_.at(static_cast<size_t>(save.page));
  }
  for (const kernels::HostPageCopy& restore : plan.restores) {
    CHORUS_CHECK(pages.insert(restore.page).second);
    CHORUS_CHECK(!slots.contains(restore.slot));
    pages_.at(static_cast<size_t>(restore.page)) =
        host_pages_.at(static_cast<size_t>(restore.slot));
  }
}

void FakeRunner::ApplySlotChanges(const StepPlan& plan) {
  for (const SlotChange& change : plan.slot_changes) {
    if (change.contents == nullptr) {
      CHORUS_CHECK_EQ(slots_.erase(change.slot), 1u);
    } else {
      CHORUS_CHECK(slots_.try_emplace(change.slot, change.contents).second);
    }
  }
}

}  // namespace chorus::engine
