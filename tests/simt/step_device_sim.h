// The simulator as a device for the bench of whole steps, and what has to be smaller there.
#ifndef CHORUS_TESTS_SIMT_STEP_DEVICE_SIM_H_
#define CHORUS_TESTS_SIMT_STEP_DEVICE_SIM_H_

#include <memory>
#include <utility>
#include <vector>

#include "bench/gpu/step_bench.h"
#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {

inline bench::StepDevice OpenSimStepDevice(const kernels::SimOptions& options = {}) {
  auto device = std::make_unique<kernels::SimDevice>(options);
  auto ops = std::make_unique<SimLibraryOps>(device.get());
  return {.device = std::move(device), .ops = std::move(ops)};
}

inline kernels::SimDevice& SimOf(bench::StepDevice& device) {
  return static_cast<kernels::SimDevice&>(*device.device);
}

// Small memory, and the simulator's clock for the host.
inline void AdaptToSim(bench::StepDevice* device, bench::StepBenchOptions* options) {
  options->label = "simt";
  options->rig.pool_bytes = int64_t{2} << 20;
  options->rig.pattern_bytes = int64_t{64} << 10;
  options->rig.now_us = [sim = &SimOf(*device)] { return sim->now_us(); };
  options->ceilings = {
      .read_bytes = int64_t{1} << 19, .host_bytes = int64_t{1} << 18, .repeats = 2};
}

// A few short steps of the tiny model; `more` arguments behind these. REQUIRES: they are right.
inline bench::StepBenchOptions TinyStepOptions(bench::StepDevice* device,
                                               const std::vector<absl::string_view>& more = {}) {
  std::vector<absl::string_view> arguments = {"--shape", "tiny", "--blocks", "2", "--replays", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  bench::StepBenchOptions options = bench::ParseStepBench(arguments).value();
  AdaptToSim(device, &options);
  return options;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_STEP_DEVICE_SIM_H_
