// Machines of the simulator: a model on hardware, as the rates that its steps and loads are timed
// with. Rates are what is reached, not what a maker says; where each comes from stands in
// machines.cc.
#ifndef CHORUS_BENCH_SIMULATE_MACHINES_H_
#define CHORUS_BENCH_SIMULATE_MACHINES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/model_config.h"
#include "kernels/device/pool_view.h"

namespace chorus::bench {

struct StepTimes {
  double bytes_per_s = 0.0;
  double flops_per_s = 0.0;
  double step_s = 0.0;         // of every step: launches, the host's part
  double row_s = 0.0;          // of a row, beside its bytes and products
  double adapter_row_s = 0.0;  // of a row with an adapter, beside those
};

struct LoadTimes {
  int32_t readers = 1;  // loader threads
  double open_s = 0.0;  // of a read from the store
  double read_bytes_per_s = 0.0;
  int64_t host_bytes = 0;         // of images kept on the host, least recently used go first
  double copy_bytes_per_s = 0.0;  // to the device, one after the other; 0: reads go to the pool
};

struct Machine {
  std::string name;
  engine::ModelConfig model;
  StepTimes step;
  LoadTimes load;
  int64_t pool_pages = 0;

  kernels::PoolView pool_view() const;  // without memory
};

// "cpu-smollm2", "h100-llama-3-8b", "a10g-llama-7b", "a100-llama-7b". NotFound naming them.
absl::StatusOr<Machine> FindMachine(absl::string_view name);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_MACHINES_H_
