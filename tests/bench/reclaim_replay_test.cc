// The order of reclaiming earns its place: on the streams that bench/reclaim replays it costs less
// than plain LRU, and what an engine does without shows.
#include "bench/reclaim/replay.h"
#include "gtest/gtest.h"

namespace chorus::bench {
namespace {

ReplayWorkload Workload(const std::string& name) {
  for (ReplayWorkload workload : ReplayWorkloads()) {
    if (workload.name != name) continue;
    workload.num_requests = 5000;
    return workload;
  }
  ADD_FAILURE() << name;
  return {};
}

engine::EngineOptions Options(engine::ReclaimPolicy policy = engine::ReclaimPolicy::kCost) {
  engine::EngineOptions options;
  options.max_running = 16;
  options.max_step_tokens = 2048;
  options.max_prefill_chunk = 512;
  options.reclaim_policy = policy;
  return options;
}

TEST(ReclaimReplayTest, CostsLessThanLru) {
  for (const auto& [name, share] :
       {std::pair("GPU, 8B, Zipf 1", 0.9), std::pair("CPU, 135M, Zipf 1", 0.75),
        std::pair("CPU, 135M, sessions", 0.75)}) {
    const ReplayWorkload workload = Workload(name);
    const ReplayResult cost = Replay(workload, Options());
    const ReplayResult lru = Replay(workload, Options(engine::ReclaimPolicy::kLru));
    EXPECT_LT(cost.bring_back_seconds(), share * lru.bring_back_seconds()) << name;
    EXPECT_EQ(cost.requests, 4000);
  }
}

TEST(ReclaimReplayTest, RepeatsExactly) {
  const ReplayWorkload workload = Workload("CPU, 135M, conversations");
  const ReplayResult once = Replay(workload, Options());
  const ReplayResult again = Replay(workload, Options());
  EXPECT_EQ(once.loads, again.loads);
  EXPECT_EQ(once.recompute_seconds, again.recompute_seconds);
  EXPECT_EQ(once.virtual_seconds, again.virtual_seconds);
}

TEST(ReclaimReplayTest, WhatAnEngineDoesWithoutShows) {
  const ReplayWorkload workload = Workload("GPU, 8B, Zipf 1.5");
  const ReplayResult all = Replay(workload, Options());
  engine::EngineOptions options = Options();
  options.cache_idle_adapters = false;
  EXPECT_GT(Replay(workload, options).loads, 2 * all.loads);
  options = Options();
  options.adapter_pool_share = 0.25;
  EXPECT_GT(Replay(workload, options).bring_back_seconds(), all.bring_back_seconds());
}

}  // namespace
}  // namespace chorus::bench
