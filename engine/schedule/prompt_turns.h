// PromptTurns: how the prompts that run share the rows of the steps. Among tenants by start-time
// fair queueing (Goyal et al., SIGCOMM 1996) over rows / weight, within one oldest first: whose
// prompt is admitted beside a hundred of another tenant does not wait for them all.
#ifndef CHORUS_ENGINE_SCHEDULE_PROMPT_TURNS_H_
#define CHORUS_ENGINE_SCHEDULE_PROMPT_TURNS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/schedule/fair_queue.h"

namespace chorus::engine {

class PromptTurns {
 public:
  // A step begins with these sequences, oldest first.
  void Begin(const std::vector<Sequence*>& sequences);
  // Each sequence has one turn in a step. Null: all had theirs.
  Sequence* Next();
  // The last answer of Next was given so many rows.
  void Took(int64_t rows);

 private:
  // A tenant's sequences: [next, end) of sequences_.
  struct Lane {
    Tenant* tenant;
    size_t next;
    size_t end;
  };
  static bool Later(const Lane& a, const Lane& b);

  std::vector<Sequence*> sequences_;  // by tenant
  std::vector<Lane> lanes_;  // a heap; between Next and Took, the lane of the answer is the last
  double time_ = 0.0;        // the least clock of a tenant that had prompts in two steps
  uint64_t step_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_PROMPT_TURNS_H_
