// AccessHistory: who used which bytes of an allocation last, so that two uses that nothing orders
// are found in whatever order they ran.
//
// Work is numbered per queue from 1. A Clock says for every queue how much of its work is known to
// be done: all of it up to that number happens before. Granularity: the byte.
#ifndef CHORUS_TESTS_SIMT_ACCESS_HISTORY_H_
#define CHORUS_TESTS_SIMT_ACCESS_HISTORY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace chorus::kernels {

using Clock = std::vector<int64_t>;  // [queues]; queues past the end: nothing

// What `clock` knows becomes at least what `other` does.
void JoinClock(Clock* clock, const Clock& other);

// A piece of work. Index 0: none.
struct WorkId {
  int queue = 0;
  int64_t index = 0;
  const char* name = "";

  bool operator==(const WorkId&) const = default;
  bool KnownTo(const Clock& clock) const {
    return index == 0 ||
           (queue < static_cast<int>(clock.size()) && clock[static_cast<size_t>(queue)] >= index);
  }
};

class AccessHistory {
 public:
  struct Conflict {
    WorkId with;
    int64_t at;  // the first byte of it
  };

  // `use`, which starts when `clock` is known, reads or writes bytes [begin,
  // end). The earlier use that it conflicts with: one of the two writes, and nothing orders them.
  std::optional<Conflict> Add(int64_t begin, int64_t end, bool write, const WorkId& use,
                              const Clock& clock);
  // A use of any byte that `clock` does not know to be done.
  std::optional<WorkId> FirstUnknown(const Clock& clock) const;

  size_t num_ranges() const { return ranges_.size(); }

 private:
  struct Range {
    int64_t end;
    WorkId writer;                // the last
    std::vector<WorkId> readers;  // since then; those before another reader are left out
  };
  using Ranges = std::map<int64_t, Range>;  // by begin; no overlap

  void SplitAt(int64_t at);
  // The ranges of [begin, end) and their neighbours become one where they are the same.
  void Merge(int64_t begin, int64_t end);

  Ranges ranges_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_ACCESS_HISTORY_H_
