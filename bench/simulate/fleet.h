// Fleet: a trace on one or more replicas behind a router, open loop, in virtual time.
#ifndef CHORUS_BENCH_SIMULATE_FLEET_H_
#define CHORUS_BENCH_SIMULATE_FLEET_H_

#include <cstdint>
#include <memory>
#include <queue>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/simulate/outcome.h"
#include "bench/simulate/replica.h"
#include "bench/simulate/router.h"
#include "nlohmann/json.hpp"
#include "server/cli/trace_file.h"

namespace chorus::bench {

using Trace = std::vector<cli::TraceRequest>;  // in order of arrival

struct FleetOptions {
  Machine machine;
  engine::EngineOptions engine;
  std::vector<int32_t> ranks = {16};  // of adapters 0, 1, …, in turns
  bool attention_only = false;        // adapters of q, k, v, o; else of all seven linears
  int replicas = 1;
  RoutePolicy router = RoutePolicy::kAffine;
  double load_bound = 1.25;  // kAffine
  uint64_t seed = 1;         // kRandom
  double first_token_limit_s = 6.0;
  // What requests ask for, where it is more than what the trace says that they answer: these end at
  // a stop token, which the scheduler cannot foresee. 0: they ask for what they answer.
  int32_t max_tokens = 0;
};

class Fleet {
 public:
  // `trace` outlives the fleet.
  Fleet(const FleetOptions& options, const Trace& trace);
  ~Fleet();

  // Once: serves the trace to its end, and CHECKs that every request ended once, with as many
  // tokens as it asked for if it was not cut short, and that no page is missing.
  void Run();

  const std::vector<RequestRecord>& records() const { return records_; }  // as in the trace
  const std::vector<int>& replica_of() const { return replica_of_; }      // each request's
  // Figures of requests, steps, loads and pages, and what the simulation itself took.
  nlohmann::json Figures() const;

 private:
  class Member;
  struct Due {
    Nanos time;
    size_t member;
    bool operator>(const Due& other) const {
      return time != other.time ? time > other.time : member > other.member;
    }
  };

  void AdvanceBefore(Nanos time);
  void Schedule(size_t member);
  void Send(size_t index);
  engine::GenerateRequest RequestOf(size_t index) const;
  void CheckEnd(const Member& member) const;

  const FleetOptions options_;
  const Trace& trace_;
  const std::vector<engine::AdapterRef> adapters_;
  TokenRunner runner_;
  Router router_;
  std::vector<RequestRecord> records_;
  std::vector<int> replica_of_;
  DurationHistogram gaps_;
  std::vector<std::unique_ptr<Member>> members_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;  // stale ones are skipped
  double seconds_ = 0.0;  // of the processor, that Run took
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_FLEET_H_
