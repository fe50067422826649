// The engine under a harness: reads one command a line, answers with one line of JSON. bench/run
// decides what is run, in which order, and what the figures mean.
//
//   chorus_engine_bench MODEL_DIR STORE_DIR POOL_BYTES WORKERS [ADAPTER_DIR …]
//
//   wave STREAMS PROMPT_TOKENS MAX_TOKENS base|adapters SEED
//        → {"seconds", "steps": [{"begin", "end", "rows", "samples", "adapters", "bytes",
//        "flops"}]}
//   ceilings → {"read_bandwidth", "compute_rate"}    one probe each, bytes/s and FLOP/s
//   load     → {}    all adapters into the pool
//   unload   → {}    all adapters out of it
// The first line it prints describes the model. A line that it cannot serve is {"error"}.
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "bench/ceilings.h"
#include "bench/serving/engine_rig.h"
#include "kernels/device/compute_pool.h"
#include "nlohmann/json.hpp"

namespace chorus::bench {
namespace {

using nlohmann::json;

json Error(const absl::Status& status) { return {{"error", std::string(status.message())}}; }

json AnswerOf(const absl::Status& status) { return status.ok() ? json::object() : Error(status); }

class Harness {
 public:
  Harness(std::unique_ptr<EngineRig> rig, int num_workers)
      : rig_(std::move(rig)), num_workers_(num_workers) {}

  json Describe() const {
    return {{"weights_bytes", rig_->weights_bytes()},
            {"pool_bytes", rig_->pool_bytes()},
            {"workspace_bytes", rig_->workspace_bytes()},
            {"workers", num_workers_}};
  }

  json Serve(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "wave") return ServeWave(&words);
    if (command == "ceilings") return ServeCeilings();
    if (command == "load") return AnswerOf(rig_->LoadAdapters());
    if (command == "unload") return AnswerOf(rig_->UnloadAdapters());
    return Error(absl::InvalidArgumentError("unknown command: " + line));
  }

 private:
  json ServeWave(std::istringstream* words) {
    Wave wave;
    std::string who;
    *words >> wave.streams >> wave.prompt_tokens >> wave.max_tokens >> who >> wave.seed;
    if (words->fail() || wave.streams < 1 || wave.prompt_tokens < 1 || wave.max_tokens < 1 ||
        (who != "base" && who != "adapters")) {
      return Error(absl::InvalidArgumentError(
          "wave STREAMS PROMPT_TOKENS MAX_TOKENS base|adapters SEED: got " + words->str()));
    }
    wave.adapters = who == "adapters";
    const absl::StatusOr<WaveResult> result = rig_->Run(wave);
    if (!result.ok()) return Error(result.status());
    json steps = json::array();
    for (const StepRecord& step : result->steps) {
      steps.push_back({{"begin", step.begin},
                       {"end", step.end},
                       {"rows", step.rows},
                       {"samples", step.samples},
                       {"adapters", step.adapters},
                       {"bytes", step.bytes},
                       {"flops", step.flops}});
    }
    return {{"seconds", result->seconds}, {"steps", std::move(steps)}};
  }

  // Made when first asked for: their memory is not the engine's.
  json ServeCeilings() {
    if (!ceilings_.has_value()) {
      probes_.emplace(num_workers_);
      ceilings_.emplace(&*probes_);
    }
    const double bandwidth = ceilings_->MeasureReadBandwidth();
    return {{"read_bandwidth", bandwidth}, {"compute_rate", ceilings_->MeasureComputeRate()}};
  }

  const std::unique_ptr<EngineRig> rig_;
  const int num_workers_;
  std::optional<kernels::ComputePool> probes_;
  std::optional<Ceilings> ceilings_;
};

int Main(int argc, char** argv) {
  RigOptions options;
  if (argc < 5 || !absl::SimpleAtoi(argv[3], &options.pool_bytes) ||
      !absl::SimpleAtoi(argv[4], &options.num_workers) || options.num_workers < 1) {
    std::cerr << "usage: " << argv[0]
              << " MODEL_DIR STORE_DIR POOL_BYTES WORKERS [ADAPTER_DIR ...]\n";
    return 2;
  }
  options.model_dir = argv[1];
  options.store_dir = argv[2];
  options.adapter_dirs.assign(argv + 5, argv + argc);
  absl::StatusOr<std::unique_ptr<EngineRig>> rig = EngineRig::Open(options);
  if (!rig.ok()) {
    std::cerr << argv[0] << ": " << rig.status() << "\n";
    return 1;
  }
  Harness harness(*std::move(rig), options.num_workers);
  std::cout << harness.Describe() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << harness.Serve(line) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace chorus::bench

int main(int argc, char** argv) { return chorus::bench::Main(argc, argv); }
