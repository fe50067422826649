// Replays a stream of requests through the real Scheduler, with modelled times for steps and loads,
// to compare what different orders of reclaiming cost. No model and no wall clock: a run repeats
// exactly.
#ifndef CHORUS_BENCH_RECLAIM_REPLAY_H_
#define CHORUS_BENCH_RECLAIM_REPLAY_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/schedule/engine_options.h"

namespace chorus::bench {

// Each adapter has a system prompt that all its requests begin with; what follows is new, or goes
// on with an earlier conversation.
struct ReplayWorkload {
  std::string name;
  int num_adapters = 1000;
  double zipf = 1.0;  // exponent of the adapters' popularity; 0: uniform
  int sessions = 0;   // instead: so many adapters are in use, each for some 20 requests
  std::vector<int64_t> adapter_pages = {20, 40, 80, 160};  // ranks 8, 16, 32, 64
  std::pair<int, int> system_pages = {4, 24};
  std::pair<int, int> new_pages = {2, 40};
  int max_tokens = 16;
  double continued = 0.0;  // share of requests that go on with one of the last 200 conversations
  int64_t pool_pages = 12000;
  // Modelled times
  double row_seconds = 50e-6;  // of a prompt's row
  double step_seconds = 5e-3;  // of a step at least
  double load_seconds = 2e-3;  // of a load, and
  double load_page_seconds = 80e-6;
  int num_requests = 20000;
};

std::vector<ReplayWorkload> ReplayWorkloads();

struct ReplayResult {
  int64_t requests = 0;
  int64_t loads = 0;
  double load_seconds = 0.0;
  double adapter_hits = 0.0;       // share of requests that found their adapter on its way or there
  double prefix_hits = 0.0;        // share of tokens computed before that were still cached
  double recompute_seconds = 0.0;  // of tokens that had been computed before
  double virtual_seconds = 0.0;    // how long it all took
  double bring_back_seconds() const { return load_seconds + recompute_seconds; }
};

// The first fifth of the requests fills the pool and is not counted.
ReplayResult Replay(const ReplayWorkload& workload, const engine::EngineOptions& options);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_RECLAIM_REPLAY_H_
