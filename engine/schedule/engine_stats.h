// EngineStats: what operators see of the engine, as one consistent snapshot a step but for the
// adapters.
#ifndef CHORUS_ENGINE_SCHEDULE_ENGINE_STATS_H_
#define CHORUS_ENGINE_SCHEDULE_ENGINE_STATS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/adapters/residency_state.h"

namespace chorus::engine {

// Why a request waits although its adapter could be used.
enum class Blocked {
  kRows,      // max_running
  kAdapters,  // max_step_adapters, or what the runner keeps of them
  kRank,      // max_step_rank_sum
  kPages,     // the pool
  kCluster,   // cluster_adapters: those whose adapter is in use go first
};
inline constexpr size_t kNumBlocked = 5;

struct EngineStats {
  // Requests and sequences now
  int64_t requests_waiting = 0;
  int64_t requests_running = 0;
  int64_t sequences_running = 0;
  // Pool pages by owner now; the five add up to pages_total
  int64_t pages_total = 0;
  int64_t pages_free = 0;
  int64_t pages_sequences = 0;  // held by running sequences
  int64_t pages_prefixes = 0;   // cached prefixes that nobody runs with
  int64_t pages_adapters = 0;
  int64_t pages_draining = 0;  // freed, but a step or a copy may still touch them
  // Slots on the host for KV that left the pool
  int64_t host_pages_total = 0;
  int64_t host_pages_used = 0;
  // Counters since the start
  uint64_t steps = 0;
  uint64_t prompt_tokens = 0;         // computed
  uint64_t prompt_tokens_cached = 0;  // found in the prefix cache
  uint64_t prompt_tokens_looked_up = 0;
  uint64_t generation_tokens = 0;
  uint64_t preemptions = 0;
  uint64_t recomputed_tokens = 0;  // computed again after one, prompt's and generated ones
  uint64_t early_aborts = 0;       // requests
  std::array<uint64_t, kNumBlocked> blocked = {};  // requests, each once for a reason that it met
  uint64_t adapter_loads = 0;
  uint64_t adapter_load_failures = 0;
  uint64_t adapter_evictions = 0;
  uint64_t prefix_evictions = 0;
  uint64_t pages_saved = 0;     // to the host
  uint64_t pages_restored = 0;  // from there
  uint64_t slow_readers = 0;
  // Σ over steps, of what each has to read: with weights and KV of its tokens, its bytes
  uint64_t step_rows = 0;
  uint64_t step_pages = 0;            // of KV, those of every sequence
  uint64_t step_adapters = 0;         // distinct ones
  uint64_t step_ranks = 0;            // Σ over these of their largest rank
  double step_seconds = 0.0;          // inside the runner
  double adapter_load_seconds = 0.0;  // from lease to resident
  // Resident, loading or waited for; filled in by who wants them (Engine::adapters).
  std::vector<AdapterResidency> adapters;
  bool failed = false;  // the device is lost: not ready, restart
  std::string failure;  // what it said
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ENGINE_STATS_H_
