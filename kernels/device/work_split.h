// How ops divide their work: an op lists units of known cost in a fixed order, and each worker
// takes the units that start within its equal share of the total. Every worker computes the same
// split by itself, so there is nothing to share or to allocate. What a unit computes never depends
// on who computes it.
#ifndef CHORUS_KERNELS_DEVICE_WORK_SPLIT_H_
#define CHORUS_KERNELS_DEVICE_WORK_SPLIT_H_

#include <algorithm>
#include <cstdint>

#include "kernels/checked.h"

namespace chorus::kernels {

// Rows to hand out at a time where an op does a little work per element: fewer elements than this
// are done before another worker has woken up.
constexpr int64_t RowGrain(int64_t width) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(width, 1));
}

class WorkShare {
 public:
  struct Range {
    int64_t begin = 0;
    int64_t end = 0;
  };

  // Share `worker` of `num_workers` of work that costs `total` in all.
  WorkShare(int64_t total, int worker, int num_workers)
      : begin_(total * worker / num_workers), end_(total * (worker + 1) / num_workers) {}

  // The next `count` units of the list, `cost` > 0 each: those of them that are this worker's.
  Range Take(int64_t count, int64_t cost) {
    const Range range{UnitsBefore(begin_, count, cost), UnitsBefore(end_, count, cost)};
    position_ += count * cost;
    return range;
  }

  // Whether the rest of the list is another worker's.
  bool done() const { return position_ >= end_; }

 private:
  // How many of the next units start before `limit`.
  int64_t UnitsBefore(int64_t limit, int64_t count, int64_t cost) const {
    if (limit <= position_) return 0;
    return std::min(count, CeilDiv(limit - position_, cost));
  }

  int64_t begin_;
  int64_t end_;
  int64_t position_ = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_WORK_SPLIT_H_
