// How long steps take: a case against the same step without adapters, in turns within one process
// (A B B A …), so that what changes the clock for a while changes both.
#ifndef CHORUS_BENCH_GPU_STEP_MEASURE_H_
#define CHORUS_BENCH_GPU_STEP_MEASURE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/gpu/step_rig.h"

namespace chorus::bench {

struct MeasureOptions {
  int blocks = 6;  // of each side, each after a step that is not timed
  int replays = 5;
};

struct SideTimes {
  std::vector<StepTime> steps;
  std::vector<double> block_us;  // median of the device's time in each block
  // Of one step: launches outside a graph, and graphs.
  int64_t launches = 0;
  int64_t graph_replays = 0;

  std::vector<double> device_us() const;
  // What the host adds to each step: the time from the end of one on the device to the beginning of
  // the next, if nothing but Run is called.
  std::vector<double> host_gap_us() const;
};

struct CaseTimes {
  SideTimes base, adapters;
};

// Errors are the rig's.
absl::StatusOr<CaseTimes> MeasureCase(StepRig* rig, const StepCase& c,
                                      const MeasureOptions& options);

// A prompt whose adapter lies in the pool; one whose adapter lies in pinned memory of the host and
// is copied first, page by page; and one that does not wait for all of the copies: each layer waits
// for its own.
struct ColdTimes {
  int64_t copies = 0;
  int64_t bytes = 0;
  std::vector<double> copy_us;       // of the device
  std::vector<double> copy_wall_us;  // until the host knows
  // Of the host, until the first token is there.
  std::vector<double> warm_us, cold_us, by_layer_us;
};
absl::StatusOr<ColdTimes> MeasureCold(StepRig* rig, int repeats);

// REQUIRES: not empty; 0 <= share <= 1.
double Quantile(std::vector<double> values, double share);
inline double Median(const std::vector<double>& values) { return Quantile(values, 0.5); }

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_MEASURE_H_
