// residency_bench: what a step asks of thousands of idle adapters, in microseconds.
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "bench/adapters/layout_adapter.h"
#include "engine/adapters/residency.h"
#include "engine/memory/reclaimer.h"

namespace chorus::bench {
namespace {

constexpr int64_t kAdapterPages = 2;

class NoLoads : public engine::LoadQueue {
 public:
  void Start(engine::LoadJob) override {}
  void Cancel(uint64_t) override {}
  void Forget(const std::string&, const engine::AdapterDigest&) override {}
};

void Run(int count) {
  const kernels::PoolView view{.base = nullptr,
                               .num_ids = count * kAdapterPages,
                               .num_slabs = 2,
                               .kv_heads = 1,
                               .head_dim = 16};
  engine::ImageLayout layout;
  layout.modules.resize(static_cast<size_t>(view.num_slabs * kernels::kNumLoraModules));
  layout.num_ids = kAdapterPages;
  layout.num_tiles = kAdapterPages * view.num_slabs * kernels::TilesPerCell(view);
  engine::PagePool pool(view);
  engine::ReclaimOrder order;
  NoLoads loads;
  std::vector<engine::PageLease> taken;
  engine::Residency residency(
      {.pool = &pool, .loads = &loads, .order = &order, .prefixes = nullptr}, view, {});
  engine::Reclaimer reclaimer(&pool);
  reclaimer.Register(&residency);
  for (int i = 0; i < count; ++i) {
    engine::Resident* one =
        residency.AddWaiter(std::make_shared<LayoutAdapter>("tenant", i, layout));
    residency.StartLoad(one, *pool.Acquire(kAdapterPages), absl::UnixEpoch());
    residency.OnLoadDone({one->ticket, absl::OkStatus(), absl::Milliseconds(1)}, absl::UnixEpoch());
    residency.RemoveWaiter(one);
  }
  (void)residency.TakeSlotChanges();
  (void)residency.TakeChanges();
  double sum = 0.0;
  const auto time = [&](const char* what, const std::function<void(int)>& call) {
    constexpr int kTimes = 1000;
    const absl::Time begin = absl::Now();
    for (int i = 0; i < kTimes; ++i) call(i);
    std::printf("  %-28s %9.3f us\n", what,
                absl::ToDoubleMicroseconds(absl::Now() - begin) / kTimes);
  };
  std::printf("%d idle adapters\n", count);
  time("Available", [&](int i) { sum += static_cast<double>(reclaimer.Available(i % 64)); });
  time("CheapestWorth", [&](int i) { sum += *residency.CheapestWorth(i % 64); });
  time("MakeFree, and what changed", [&](int) {
    reclaimer.MakeFree(kAdapterPages, engine::kAnyone);
    taken.push_back(*pool.Acquire(kAdapterPages));
    (void)residency.TakeSlotChanges();
    (void)residency.TakeChanges();
  });
  if (sum < 0) std::printf("%f\n", sum);
}

}  // namespace
}  // namespace chorus::bench

int main() {
  chorus::bench::Run(2000);
  chorus::bench::Run(10000);
  return 0;
}
