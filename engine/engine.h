// Engine: the façade of everything below the protocols. One engine thread owns all scheduling
// state, the pool and the runner; the calls here are thread-safe, only enqueue, and never wait for
// a step.
//
//   Submit ─ inbox ─▶ admit ─▶ plan ─▶ run ─▶ commit ─▶ TokenStream ─▶ reader
#ifndef CHORUS_ENGINE_ENGINE_H_
#define CHORUS_ENGINE_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/adapters/adapter_target.h"
#include "engine/adapters/adapter_version.h"
#include "engine/clock.h"
#include "engine/model/runner.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/engine_stats.h"
#include "engine/schedule/generate_request.h"
#include "engine/schedule/token_stream.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

class Engine {
 public:
  struct Model {
    std::unique_ptr<Runner> runner;
    std::unique_ptr<AdapterTarget> adapters;  // where loads go
    kernels::PoolView pool;   // memory outlives the engine; base null when it is not the host's
    std::string base_digest;  // of weights, RoPE and type: the root of prefix keys
    std::vector<int32_t> eos_token_ids;
    int32_t max_positions = 0;
    int32_t vocabulary = 0;
    RunnerLimits limits;
  };

  // Starts the engine thread and the loaders. InvalidArgument when options contradict the pool.
  static absl::StatusOr<std::unique_ptr<Engine>> Start(const EngineOptions& options, Model model,
                                                       std::shared_ptr<StreamBell> bell,
                                                       const Clock* clock);
  // Fails what still runs, joins all threads.
  ~Engine();

  // The stream on which everything about the request arrives. InvalidArgument for limits that are
  // broken, ResourceExhausted when the queue is full or the request could not fit an empty pool,
  // AlreadyExists for a request_id in use, Unavailable while draining.
  absl::StatusOr<std::shared_ptr<TokenStream>> Submit(GenerateRequest request);

  // Ends one choice, or all with choice < 0. Its kFinished event follows with `reason`. Unknown ids
  // are ignored: the request may just have ended.
  void Cancel(const std::string& request_id, int32_t choice, FinishReason reason);

  // Keeps an adapter resident (or no longer). ResourceExhausted when the pin budget does not hold
  // it, InvalidArgument when the runner cannot take it.
  absl::Status Pin(const AdapterRef& adapter, bool pinned);

  // Drops idle pages and cached prefixes of a version that was deleted; those of running requests
  // follow when they end.
  void Forget(const std::string& tenant, const AdapterDigest& digest);

  // Refuses new requests from now on; Drained becomes true when nothing waits or runs.
  void Drain();
  bool Drained() const;

  // As of a moment ago, without the adapters.
  EngineStats stats() const;
  // Those that are resident, on their way or waited for, as of a moment ago. A copy of all: of
  // thousands, it takes milliseconds of the caller's time.
  std::vector<AdapterResidency> adapters() const;
  // Of one of them, at once.
  ResidencyState StateOf(const std::string& tenant, const AdapterDigest& digest) const;
  // How long the adapter loads took that ended since the last call: for one reader, a histogram.
  std::vector<double> TakeLoadSeconds();

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ENGINE_H_
