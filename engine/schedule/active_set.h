// ActiveSet: the sequences that hold pages (LOADING or RUNNING), oldest first, and what they take
// together of a step's limits. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_ACTIVE_SET_H_
#define CHORUS_ENGINE_SCHEDULE_ACTIVE_SET_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class ActiveSet {
 public:
  void Add(Sequence* sequence);
  // A choice that was counted with the sequence it forks off.
  void AddFork(Sequence* sequence);
  // REQUIRES: it is here.
  void Remove(Sequence* sequence);

  auto begin() const { return sequences_.begin(); }
  auto end() const { return sequences_.end(); }
  bool empty() const { return sequences_.empty(); }
  int64_t size() const { return static_cast<int64_t>(sequences_.size()); }
  Sequence* youngest() const { return sequences_.back(); }
  const std::vector<Sequence*>& sequences() const { return sequences_; }

  int64_t num_choices() const { return num_choices_; }  // those that still fork off are counted
  int64_t num_adapters() const { return static_cast<int64_t>(users_.size()); }
  int64_t rank_sum() const { return rank_sum_; }  // over distinct adapters
  bool Uses(const Residency::Resident* adapter) const { return users_.contains(adapter); }

 private:
  std::vector<Sequence*>::iterator PlaceOf(const Sequence* sequence);

  std::vector<Sequence*> sequences_;
  absl::flat_hash_map<const Residency::Resident*, int64_t> users_;  // sequences of each adapter
  int64_t num_choices_ = 0;
  int64_t rank_sum_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ACTIVE_SET_H_
