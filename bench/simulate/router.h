// Router: which of several replicas gets a request, as a gateway would choose it: it knows what it
// has sent to whom and what came back, and the adapter's name.
#ifndef CHORUS_BENCH_SIMULATE_ROUTER_H_
#define CHORUS_BENCH_SIMULATE_ROUTER_H_

#include <cstdint>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace chorus::bench {

enum class RoutePolicy {
  kRandom,
  kRoundRobin,
  kLeastLoaded,  // the fewest requests under way
  // Rendezvous hashing with bounded loads: of the replicas that have fewer than `load_bound` times
  // the mean load, or fewer than kFewRequests, the one that hash(adapter, replica) puts first. So
  // an adapter goes where it is, what spills goes the same second way, and a replica that comes or
  // goes moves its own adapters alone.
  kAffine,
};

// "random", "round-robin", "least-loaded", "affine". InvalidArgument naming them.
absl::StatusOr<RoutePolicy> ParseRoutePolicy(absl::string_view name);

// So few share a step at hardly any cost: a replica that has no more is not too busy for anybody.
constexpr int64_t kFewRequests = 8;

class Router {
 public:
  Router(RoutePolicy policy, int replicas, double load_bound, uint64_t seed);

  // Counts the request as under way on the replica that is returned; `adapter` is -1 for the base
  // model, which every replica has: it goes to the least loaded.
  int Pick(int64_t adapter);
  void OnEnded(int replica) { --loads_[static_cast<size_t>(replica)], --total_; }

  int64_t load(int replica) const { return loads_[static_cast<size_t>(replica)]; }

 private:
  int Choose(int64_t adapter);
  int LeastLoaded() const;
  int Affine(int64_t adapter) const;

  const RoutePolicy policy_;
  const double load_bound_;
  std::mt19937_64 random_;
  std::vector<int64_t> loads_;
  int64_t total_ = 0;
  uint64_t turn_ = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_ROUTER_H_
