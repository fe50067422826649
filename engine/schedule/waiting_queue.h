// WaitingQueue: sequences in the order in which they should be admitted: preempted ones first, then
// by priority, deadline and arrival. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_WAITING_QUEUE_H_
#define CHORUS_ENGINE_SCHEDULE_WAITING_QUEUE_H_

#include <set>

#include "engine/schedule/request.h"

namespace chorus::engine {

class WaitingQueue {
 public:
  void Add(Sequence* sequence) { order_.insert(sequence); }
  // REQUIRES: what the order looks at (preemptions, priority …) is as it was at Add.
  void Remove(Sequence* sequence) { order_.erase(sequence); }
  size_t size() const { return order_.size(); }
  bool empty() const { return order_.empty(); }
  auto begin() const { return order_.begin(); }
  auto end() const { return order_.end(); }

 private:
  struct Before {
    bool operator()(const Sequence* a, const Sequence* b) const {
      if ((a->preemptions > 0) != (b->preemptions > 0)) return a->preemptions > 0;
      const GenerateRequest& x = a->request->spec;
      const GenerateRequest& y = b->request->spec;
      if (x.priority != y.priority) return x.priority > y.priority;
      if (x.deadline != y.deadline) return x.deadline < y.deadline;
      return a->OlderThan(*b);
    }
  };

  std::set<Sequence*, Before> order_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_WAITING_QUEUE_H_
