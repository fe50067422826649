// AdmissionWindow: what one step's admission has looked at: candidates in the order of the queue,
// whose places are their ranks, and those of them that others pass.
#ifndef CHORUS_ENGINE_SCHEDULE_ADMISSION_WINDOW_H_
#define CHORUS_ENGINE_SCHEDULE_ADMISSION_WINDOW_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/schedule/fair_queue.h"

namespace chorus::engine {

enum class Verdict { kAdmitted, kParked, kBlocked, kNoPages };

struct Candidate {
  Sequence* sequence = nullptr;
  bool deferred = false;  // until those behind it were tried
  Verdict verdict = Verdict::kParked;

  bool blocked() const { return verdict == Verdict::kBlocked || verdict == Verdict::kNoPages; }
};

// Sequences that could run but for a limit, while those behind them are tried.
struct Passed {
  std::vector<Sequence*> sequences;
  double least = std::numeric_limits<double>::infinity();  // counter of their tenants
  bool closed = false;                                     // nobody may pass them any more

  void Add(Sequence* sequence) {
    sequences.push_back(sequence);
    least = std::min(least, sequence->request->tenant->counter);
  }
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ADMISSION_WINDOW_H_
