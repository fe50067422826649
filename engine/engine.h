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
#include "absl/time/time.h"
#include "engine/adapters/adapter_version.h"
#include "engine/clock.h"
#include "engine/engine_stats.h"
#include "engine/model/runner.h"
#include "engine/token_stream.h"
#include "kernels/device/pool_view.h"
#include "kernels/sampling/sample.h"

namespace chorus::engine {

enum class AdmissionMode {
  kOptimistic,    // the uncached prompt and a page per choice; preemption is the safety net
  kConservative,  // the peak: prompt and max_tokens of everything admitted fit together
};

// Owns every default of the engine. Limits are of one step unless said otherwise.
struct EngineOptions {
  AdmissionMode admission = AdmissionMode::kOptimistic;
  int32_t max_running = 64;             // sequences (choices) running at once
  int32_t max_step_tokens = 512;        // rows of one step
  int32_t max_prefill_chunk = 256;      // rows of one sequence's prefill in one step
  int32_t max_step_adapters = 64;       // distinct adapters
  int32_t max_step_rank_sum = 4096;     // Σ over distinct adapters of their largest rank
  int32_t max_waiting = 4096;           // requests queued; more are refused
  int32_t max_overtakes = 16;           // admissions that may pass a blocked request
  double admission_watermark = 0.02;    // share of the pool kept free for growth (optimistic)
  double pin_budget = 0.5;              // largest share of the pool that pinned adapters may take
  bool prefix_cache = true;
  int32_t max_loads = 4;                // adapter loads at once
  int32_t loader_threads = 1;
  size_t stream_capacity = 256;         // tokens that may wait for a reader
};

struct GenerateRequest {
  std::string request_id;        // unique among live requests
  std::string tenant;
  std::string cache_salt;        // the client's own; separates prefixes
  AdapterRef adapter;            // null: the base model
  std::vector<int32_t> prompt;   // at least one id
  int32_t max_tokens = 0;        // at least 1; prompt + max_tokens within the context
  int32_t num_choices = 1;       // "n"
  kernels::SamplingParams sampling;
  std::vector<int32_t> stop_token_ids;  // beside the model's end-of-sequence ids
  bool ignore_eos = false;
  int32_t priority = 0;          // larger goes first within a tenant
  absl::Time deadline = absl::InfiniteFuture();
};

class Engine {
 public:
  struct Model {
    std::unique_ptr<Runner> runner;
    kernels::PoolView pool;              // memory outlives the engine
    std::string base_digest;             // of weights, RoPE and type: the root of prefix keys
    std::vector<int32_t> eos_token_ids;
    int32_t max_positions = 0;
    int32_t vocabulary = 0;
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

  // Keeps an adapter resident (or no longer). ResourceExhausted when the pin budget does not hold it.
  absl::Status Pin(const AdapterRef& adapter, bool pinned);

  // Drops idle pages and cached prefixes of a version that was deleted; those of running requests
  // follow when they end.
  void Forget(const std::string& tenant, const AdapterDigest& digest);

  // Refuses new requests from now on; Drained becomes true when nothing waits or runs.
  void Drain();
  bool Drained() const;

  EngineStats stats() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ENGINE_H_
