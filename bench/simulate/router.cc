#include "bench/simulate/router.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"

namespace chorus::bench {
namespace {

// How much an adapter likes a replica: SplitMix64's finaliser over both.
uint64_t Affinity(int64_t adapter, size_t replica) {
  uint64_t hash = static_cast<uint64_t>(adapter) * 0x9e3779b97f4a7c15 + replica + 1;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

}  // namespace

absl::StatusOr<RoutePolicy> ParseRoutePolicy(absl::string_view name) {
  if (name == "random") return RoutePolicy::kRandom;
  if (name == "round-robin") return RoutePolicy::kRoundRobin;
  if (name == "least-loaded") return RoutePolicy::kLeastLoaded;
  if (name == "affine") return RoutePolicy::kAffine;
  return absl::InvalidArgumentError(absl::StrCat(
      "router: expected one of random, round-robin, least-loaded, affine, got ", name));
}

Router::Router(RoutePolicy policy, int replicas, double load_bound, uint64_t seed)
    : policy_(policy),
      load_bound_(load_bound),
      random_(seed),
      loads_(static_cast<size_t>(replicas)) {
  CHORUS_CHECK(replicas >= 1 && load_bound >= 1.0);
}

int Router::Pick(int64_t adapter) {
  const int replica = Choose(adapter);
  ++loads_[static_cast<size_t>(replica)];
  ++total_;
  return replica;
}

int Router::Choose(int64_t adapter) {
  switch (policy_) {
    case RoutePolicy::kRandom:
      return static_cast<int>(random_() % loads_.size());
    case RoutePolicy::kRoundRobin:
      return static_cast<int>(turn_++ % loads_.size());
    case RoutePolicy::kLeastLoaded:
      return LeastLoaded();
    case RoutePolicy::kAffine:
      return adapter < 0 ? LeastLoaded() : Affine(adapter);
  }
  CHORUS_CHECK(false);
  return 0;
}

int Router::LeastLoaded() const {
  return static_cast<int>(std::min_element(loads_.begin(), loads_.end()) - loads_.begin());
}

int Router::Affine(int64_t adapter) const {
  // With the request that comes; at least one replica is below it.
  const double mean = static_cast<double>(total_ + 1) / static_cast<double>(loads_.size());
  const int64_t bound = std::max(kFewRequests, static_cast<int64_t>(std::ceil(load_bound_ * mean)));
  int best = -1;
  uint64_t most = 0;
  for (size_t replica = 0; replica < loads_.size(); ++replica) {
    if (loads_[replica] >= bound) continue;
    const uint64_t affinity = Affinity(adapter, replica);
    if (best < 0 || affinity > most) {
      best = static_cast<int>(replica);
      most = affinity;
    }
  }
  CHORUS_CHECK_GE(best, 0);
  return best;
}

}  // namespace chorus::bench
