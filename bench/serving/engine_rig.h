// EngineRig: the whole engine in this process, without a front: model, pool, catalog with adapters,
// and a client that submits waves of requests and reads nothing until a wave has ended. One thread.
#ifndef CHORUS_BENCH_SERVING_ENGINE_RIG_H_
#define CHORUS_BENCH_SERVING_ENGINE_RIG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/serving/timed_runner.h"
#include "engine/adapters/stored_catalog.h"
#include "engine/backend/pool_memory.h"
#include "engine/engine.h"
#include "engine/model/model_config.h"

namespace chorus::bench {

struct RigOptions {
  std::string model_dir;
  std::string store_dir;                  // the catalog's; made if absent
  std::vector<std::string> adapter_dirs;  // PEFT directories, uploaded into the store
  int64_t pool_bytes = int64_t{1} << 30;
  int num_workers = 1;
};

// Requests submitted together; greedy, to max_tokens whatever they say.
struct Wave {
  int streams = 1;
  int prompt_tokens = 1;
  int max_tokens = 1;
  bool adapters = false;  // stream i asks for adapter i, else all for the base
  uint32_t seed = 0;      // of the prompts: the same seed finds them in the prefix cache
};

struct WaveResult {
  double seconds = 0.0;  // from the first submission to the end of the last step
  std::vector<StepRecord> steps;
};

class EngineRig {
 public:
  static absl::StatusOr<std::unique_ptr<EngineRig>> Open(const RigOptions& options);
  ~EngineRig();

  absl::StatusOr<WaveResult> Run(const Wave& wave);

  // Pins all adapters and waits until they lie in the pool; lets them go and waits until they are
  // out of it.
  absl::Status LoadAdapters();
  absl::Status UnloadAdapters();

  int64_t weights_bytes() const { return weights_bytes_; }
  int64_t pool_bytes() const { return pool_->view().total_bytes(); }
  int64_t workspace_bytes() const { return workspace_bytes_; }

 private:
  explicit EngineRig(const RigOptions& options) : options_(options) {}

  absl::Status StartEngine();
  absl::Status OpenCatalog();
  absl::StatusOr<engine::AdapterRef> Upload(const std::string& dir);
  engine::GenerateRequest MakeRequest(const Wave& wave, int stream);
  absl::Status WaitForResidents(size_t count);
  absl::Status DrainStreams(const std::vector<std::shared_ptr<engine::TokenStream>>& streams);

  const RigOptions options_;
  engine::ModelConfig config_;
  std::optional<engine::PoolMemory> pool_;
  int64_t weights_bytes_ = 0;
  int64_t workspace_bytes_ = 0;
  std::unique_ptr<engine::StoredCatalog> catalog_;
  std::vector<engine::AdapterRef> adapters_;
  // Shared with the engine, which rings it.
  const std::shared_ptr<engine::StreamBell> bell_ = std::make_shared<engine::StreamBell>();
  TimedRunner* runner_ = nullptr;  // the engine's
  std::unique_ptr<engine::Engine> engine_;
  int64_t num_requests_ = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SERVING_ENGINE_RIG_H_
