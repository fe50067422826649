// EngineOptions: the one place where the engine's defaults stand.
#ifndef CHORUS_ENGINE_SCHEDULE_ENGINE_OPTIONS_H_
#define CHORUS_ENGINE_SCHEDULE_ENGINE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "engine/memory/reclaim_order.h"

namespace chorus::engine {

enum class AdmissionMode {
  kOptimistic,    // the uncached prompt and a page per choice; preemption is the safety net
  kExpected,      // likewise, while all fit to their ends if answers are as they were lately
  kConservative,  // the peak: prompt and max_tokens of everything admitted fit together
};

// Owns every default of the engine. Limits are of one step unless said otherwise.
struct EngineOptions {
  AdmissionMode admission = AdmissionMode::kExpected;
  int32_t max_running = 64;          // sequences (choices) running at once
  int32_t max_step_tokens = 512;     // rows of one step
  int32_t max_prefill_chunk = 256;   // rows of one sequence's prefill in one step
  int32_t max_step_adapters = 64;    // distinct adapters
  int32_t max_step_rank_sum = 4096;  // Σ over distinct adapters of their largest rank
  int32_t max_waiting = 4096;        // requests queued; more are refused
  int32_t max_overtakes = 16;        // admissions that may pass a blocked request
  int32_t cluster_adapters = 0;  // distinct adapters from which on those in use go first; 0: off
  double admission_watermark = 0.02;  // share of the pool kept free for growth (not conservative)
  // Early abort: a request is refused when it is expected to have its first token later than that
  // after it came (0: no limit), or, with early_abort, after its own deadline.
  int32_t first_token_limit_ms = 0;
  bool early_abort = false;
  double pin_budget = 0.25;  // largest share of the pool that pinned adapters may take
  bool prefix_cache = true;
  int32_t max_loads = 4;                      // adapter loads under way, those not begun too
  int64_t max_load_bytes = int64_t{1} << 30;  // of these; a single load may be larger
  int32_t loader_threads = 2;
  // Shares of tenants that want more than there is; who is not named has weight 1.
  std::map<std::string, double> tenant_weights;
  // What loading a page of an adapter costs its tenant, in prompt tokens: the price at which the
  // reclaimer weighs it against cached prefixes.
  double adapter_page_price = 4.0;
  // Tokens that may wait for a reader, for each choice: seconds of the fastest model, so that only
  // a client that does not read is behind, and not one whose machine, or ours, is busy.
  size_t stream_capacity = 4096;

  // To compare with servers that do without: not for service.
  ReclaimPolicy reclaim_policy = ReclaimPolicy::kCost;  // what is given up first
  bool cache_idle_adapters = true;  // false: an adapter goes when nobody runs with or waits for it
  bool prefetch_adapters = true;    // false: a load begins when its request is admitted
  // Of the pool's pages, set apart for adapters; KV has the rest. 0: both share all pages.
  double adapter_pool_share = 0.0;
  bool lora_compute = true;  // false: adapters are loaded and paged, and what they add is left out
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ENGINE_OPTIONS_H_
