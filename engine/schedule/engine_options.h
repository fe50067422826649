// EngineOptions: the one place where the engine's defaults stand.
#ifndef CHORUS_ENGINE_SCHEDULE_ENGINE_OPTIONS_H_
#define CHORUS_ENGINE_SCHEDULE_ENGINE_OPTIONS_H_

#include <cstddef>
#include <cstdint>

namespace chorus::engine {

enum class AdmissionMode {
  kOptimistic,    // the uncached prompt and a page per choice; preemption is the safety net
  kConservative,  // the peak: prompt and max_tokens of everything admitted fit together
};

// Owns every default of the engine. Limits are of one step unless said otherwise.
struct EngineOptions {
  AdmissionMode admission = AdmissionMode::kOptimistic;
  int32_t max_running = 64;           // sequences (choices) running at once
  int32_t max_step_tokens = 512;      // rows of one step
  int32_t max_prefill_chunk = 256;    // rows of one sequence's prefill in one step
  int32_t max_step_adapters = 64;     // distinct adapters
  int32_t max_step_rank_sum = 4096;   // Σ over distinct adapters of their largest rank
  int32_t max_waiting = 4096;         // requests queued; more are refused
  int32_t max_overtakes = 16;         // admissions that may pass a blocked request
  double admission_watermark = 0.02;  // share of the pool kept free for growth (optimistic)
  double pin_budget = 0.25;           // largest share of the pool that pinned adapters may take
  bool prefix_cache = true;
  int32_t max_loads = 4;  // adapter loads at once
  int32_t loader_threads = 1;
  // Tokens that may wait for a reader, for each choice: seconds of the fastest model, so that only
  // a client that does not read is behind, and not one whose machine, or ours, is busy.
  size_t stream_capacity = 4096;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ENGINE_OPTIONS_H_
