// What a device gives at best, measured in the process of the steps that are held against it.
#ifndef CHORUS_BENCH_GPU_STEP_CEILINGS_H_
#define CHORUS_BENCH_GPU_STEP_CEILINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/gpu/step_cost.h"
#include "bench/gpu/step_rig.h"

namespace chorus::bench {

struct CeilingOptions {
  int64_t read_bytes = int64_t{8} << 30;    // at once, at most all of the pool
  int64_t host_bytes = int64_t{256} << 20;  // of pinned memory
  int repeats = 8;                          // of which the best counts
};

// A linear of the model at a number of rows, over as many matrices as 16 layers have.
struct LinearRate {
  std::string name;
  int32_t rows = 0, outputs = 0, inputs = 0;
  double us = 0.0;

  int64_t weight_bytes() const { return int64_t{outputs} * inputs * 2; }
  double flops() const { return 2.0 * rows * static_cast<double>(outputs) * inputs; }
};

// Cells in random order, from the first `over_bytes` of the pool.
struct GatherRate {
  int64_t over_bytes = 0;
  double bytes_per_us = 0.0;
};

struct StepCeilings {
  // Bytes per µs.
  double read = 0.0;  // the pool's cells one after the other
  double copy = 0.0;  // on the device; read and written bytes count
  double host_to_device = 0.0;
  double host_to_device_64k = 0.0;  // in copies of 64 KiB
  double launch_us = 0.0;           // of one launch after another in a graph
  std::vector<GatherRate> gathers;  // the last one over all of the pool
  std::vector<LinearRate> linears;

  // What floors are taken with: of products, the best rate of any linear.
  StepRates rates() const;
};

// Overwrites pages of the rig's pool with other random numbers. Errors are the device's.
absl::StatusOr<StepCeilings> MeasureCeilings(StepRig* rig, const CeilingOptions& options);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_CEILINGS_H_
