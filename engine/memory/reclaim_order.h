// ReclaimOrder: what it is worth to keep a piece of the pool, in one measure for all kinds of
// pieces. Engine thread only.
//
//   kCost  GreedyDual-Size-Frequency (Cherkasova 1998): worth = level + reuse · seconds to bring it
//          back ÷ pages. The level is the worth of the last piece that was given up: it rises as
//          pages change hands, so whoever is not used falls behind without being touched.
//   kLru   worth = when it was used last.
//
// A worth never changes by itself, so pieces lie in ordered sets.
#ifndef CHORUS_ENGINE_MEMORY_RECLAIM_ORDER_H_
#define CHORUS_ENGINE_MEMORY_RECLAIM_ORDER_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace chorus::engine {

enum class ReclaimPolicy { kCost, kLru };

struct Worth {
  double level = 0.0;  // when it was used last
  double gain = 0.0;   // reuse · seconds ÷ pages; 0 under kLru
  double total() const { return level + gain; }
};

class ReclaimOrder {
 public:
  explicit ReclaimOrder(ReclaimPolicy policy = ReclaimPolicy::kCost) : policy_(policy) {}

  // Of a piece that was in use until now.
  Worth Of(double reuse, double seconds_per_page) {
    if (policy_ == ReclaimPolicy::kLru) return {static_cast<double>(++uses_), 0.0};
    return {level_, reuse * seconds_per_page};
  }
  // A piece of this worth is given up.
  void GaveUp(const Worth& worth) { level_ = std::max(level_, worth.total()); }

 private:
  const ReclaimPolicy policy_;
  double level_ = 0.0;
  uint64_t uses_ = 0;
};

// How often pieces of one kind are used again. One that was used once says nothing of itself yet:
// it counts as much as the share of its kind that comes to be used again, which is learnt. The uses
// of what was given up are remembered for a while, so that what comes back every minute is not new
// each time.
class ReuseHistory {
 public:
  explicit ReuseHistory(int64_t max_remembered) : max_remembered_(max_remembered) {}

  // A piece comes into the pool; returns its uses after the first.
  int32_t Enter(uint64_t id);
  // One that is there is used again.
  void Use(int32_t* uses);
  void Leave(uint64_t id, int32_t uses);

  double Estimate(int32_t uses) const { return uses + reused_ / entered_; }
  int64_t num_remembered() const { return static_cast<int64_t>(remembered_.size()); }

 private:
  struct Remembered {
    int32_t uses;
    uint64_t serial;  // of the leaving
  };

  const int64_t max_remembered_;
  absl::flat_hash_map<uint64_t, Remembered> remembered_;
  std::deque<std::pair<uint64_t, uint64_t>> oldest_;  // serial and id of each leaving
  uint64_t next_serial_ = 0;
  // Before anything is known, every second piece is used again.
  double entered_ = 2.0;
  double reused_ = 1.0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_RECLAIM_ORDER_H_
