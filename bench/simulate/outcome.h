// Outcome: what became of a trace's requests, counted as S-LoRA counts (throughput to the last
// answer, mean time to the first token, share below a limit) and as others do (percentiles).
#ifndef CHORUS_BENCH_SIMULATE_OUTCOME_H_
#define CHORUS_BENCH_SIMULATE_OUTCOME_H_

#include <array>
#include <cstdint>
#include <vector>

#include "bench/simulate/simulated_loads.h"
#include "engine/schedule/token_stream.h"
#include "nlohmann/json.hpp"

namespace chorus::bench {

// Durations in bins of a 64th of a power of two: percentiles to 1 %, in constant memory.
class DurationHistogram {
 public:
  void Add(Nanos duration);
  // The bin's middle below which `share` of all durations lie, in seconds; 0 without any.
  double Percentile(double share) const;
  uint64_t count() const { return count_; }

 private:
  static constexpr int kBits = 6;  // of a bin within its power of two
  std::array<uint64_t, 64 << kBits> bins_{};
  uint64_t count_ = 0;
};

struct RequestRecord {
  Nanos arrival = 0;
  Nanos first = kNever;  // token
  Nanos last = 0;        // token
  Nanos end = kNever;    // kNever: it was refused, or still goes on
  int32_t tokens = 0;
  engine::FinishReason reason = engine::FinishReason::kError;

  bool finished() const {
    return end != kNever &&
           (reason == engine::FinishReason::kLength || reason == engine::FinishReason::kStop);
  }
};

// Times in seconds; `first_token_limit_s` is what attainment is counted against.
nlohmann::json RequestFigures(const std::vector<RequestRecord>& records,
                              const DurationHistogram& gaps, double first_token_limit_s);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_OUTCOME_H_
