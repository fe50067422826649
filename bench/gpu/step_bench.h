// The bench of whole steps, whatever the device: options, and the run. The programs are
// chorus_step_bench, for a GPU, and chorus_step_bench_sim, which the tests have.
#ifndef CHORUS_BENCH_GPU_STEP_BENCH_H_
#define CHORUS_BENCH_GPU_STEP_BENCH_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/gpu/step_report.h"

namespace chorus::bench {

struct StepBenchOptions {
  StepModel model;
  StepRigOptions rig;
  CeilingOptions ceilings;
  MeasureOptions measure;
  std::string label;  // of the results: what they were measured on
  std::string json;   // a file, written anew after each case; empty for none
  std::string only;   // cases whose names have this in them
  bool ceilings_only = false;
  bool lora_only = false;   // and LoRA alone
  bool model_only = false;  // nothing runs: what is known without a device, at these rates
  StepRates rates;
};

extern const char kStepBenchUsage[];

// InvalidArgument, NotFound: with what was wrong.
absl::StatusOr<StepBenchOptions> ParseStepBench(const std::vector<absl::string_view>& arguments);

// A device with its libraries.
struct StepDevice {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<kernels::LibraryOps> ops;
};
using OpenStepDevice = std::function<absl::StatusOr<StepDevice>()>;

// Ceilings first, then LoRA alone, then whole steps, a line of `say` for each case; one for which
// the pool is too small is skipped and says so. What it returns is what the file has.
absl::StatusOr<Json> RunStepBench(const StepBenchOptions& options, StepDevice* device,
                                  const std::function<void(const std::string&)>& say);

// The program: what main returns. `adapt` sets what the device is known to need, after the
// arguments.
int StepBenchMain(int argc, char** argv, const OpenStepDevice& open,
                  const std::function<void(StepDevice*, StepBenchOptions*)>& adapt);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_BENCH_H_
