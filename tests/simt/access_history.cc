#include "tests/simt/access_history.h"

#include <algorithm>
#include <iterator>

namespace chorus::kernels {

void JoinClock(Clock* clock, const Clock& other) {
  if (clock->size() < other.size()) clock->resize(other.size(), 0);
  for (size_t i = 0; i < other.size(); ++i) (*clock)[i] = std::max((*clock)[i], other[i]);
}

void AccessHistory::SplitAt(int64_t at) {
  auto range = ranges_.lower_bound(at);
  if (range == ranges_.begin()) return;
  --range;
  if (range->second.end <= at) return;
  Range right = range->second;
  range->second.end = at;
  ranges_.emplace(at, std::move(right));
}

void AccessHistory::Merge(int64_t begin, int64_t end) {
  auto range = ranges_.lower_bound(begin);
  if (range != ranges_.begin()) --range;
  while (range != ranges_.end()) {
    const auto next = std::next(range);
    if (next == ranges_.end() || next->first > end) return;
    const bool same = range->second.end == next->first &&
                      range->second.writer == next->second.writer &&
                      range->second.readers == next->second.readers;
    if (same) {
      range->second.end = next->second.end;
      ranges_.erase(next);
    } else {
      range = next;
    }
  }
}

std::optional<AccessHistory::Conflict> AccessHistory::Add(int64_t begin, int64_t end, bool write,
                                                          const WorkId& use, const Clock& clock) {
  SplitAt(begin);
  SplitAt(end);
  const auto is_known = [&](const WorkId& work) { return work == use || work.KnownTo(clock); };
  std::optional<Conflict> conflict;
  for (int64_t at = begin; at < end;) {
    auto range = ranges_.lower_bound(at);
    if (range == ranges_.end() || range->first > at) {
      const int64_t gap_end = range == ranges_.end() ? end : std::min(end, range->first);
      range = ranges_.emplace_hint(range, at, Range{gap_end, {}, {}});
    }
    Range& touched = range->second;
    if (!is_known(touched.writer) && !conflict) conflict = {touched.writer, at};
    if (write) {
      for (const WorkId& reader : touched.readers) {
        if (!is_known(reader) && !conflict) conflict = {reader, at};
      }
      touched.readers.clear();
      touched.writer = use;
    } else if (touched.writer != use) {
      std::erase_if(touched.readers, is_known);
      touched.readers.push_back(use);
    }
    at = touched.end;
  }
  Merge(begin, end);
  return conflict;
}

std::optional<WorkId> AccessHistory::FirstUnknown(const Clock& clock) const {
  for (const auto& [begin, range] : ranges_) {
    if (!range.writer.KnownTo(clock)) return range.writer;
    for (const WorkId& reader : range.readers) {
      if (!reader.KnownTo(clock)) return reader;
    }
  }
  return std::nullopt;
}

}  // namespace chorus::kernels
