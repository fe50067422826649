// reclaim_bench [REQUESTS]: what the orders of reclaiming, and an engine that does without one of
// the caches, cost on the same streams of requests.
#include <cstdio>
#include <cstdlib>

#include "bench/reclaim/replay.h"

namespace chorus::bench {
namespace {

struct Variant {
  const char* name;
  engine::EngineOptions options;
};

std::vector<Variant> Variants() {
  engine::EngineOptions base;
  base.max_running = 16;
  base.max_step_tokens = 2048;
  base.max_prefill_chunk = 512;
  std::vector<Variant> variants = {{"lru", base}, {"cost", base}};
  variants[0].options.reclaim_policy = engine::ReclaimPolicy::kLru;
  const auto without = [&](const char* name) {
    variants.push_back({name, base});
    return &variants.back().options;
  };
  without("cost, no idle adapters")->cache_idle_adapters = false;
  without("cost, no prefetch")->prefetch_adapters = false;
  engine::EngineOptions* const divided = without("cost, pool divided 25:75");
  divided->adapter_pool_share = 0.25;
  return variants;
}

void Run(int num_requests) {
  for (ReplayWorkload workload : ReplayWorkloads()) {
    workload.num_requests = num_requests;
    std::printf("%s: %d adapters, pool of %lld pages, %d requests\n", workload.name.c_str(),
                workload.num_adapters, static_cast<long long>(workload.pool_pages), num_requests);
    double lru = 0.0;
    for (const Variant& variant : Variants()) {
      const ReplayResult result = Replay(workload, variant.options);
      if (lru == 0.0) lru = result.bring_back_seconds();
      std::printf(
          "  %-26s adapters %5.1f %%  prefixes %5.1f %%  loads %8.2f s  recomputed %8.2f s  "
          "together %5.1f %% of lru  in all %7.1f s\n",
          variant.name, 100 * result.adapter_hits, 100 * result.prefix_hits, result.load_seconds,
          result.recompute_seconds, 100 * result.bring_back_seconds() / lru,
          result.virtual_seconds);
      std::fflush(stdout);
    }
  }
}

}  // namespace
}  // namespace chorus::bench

int main(int argc, char** argv) {
  chorus::bench::Run(argc > 1 ? std::atoi(argv[1]) : 20000);
  return 0;
}
