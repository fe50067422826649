// A residency over a pool without memory, adapters that are only a layout, and a load queue that
// answers when the test says so.
#ifndef CHORUS_TESTS_ENGINE_ADAPTERS_RESIDENCY_HARNESS_H_
#define CHORUS_TESTS_ENGINE_ADAPTERS_RESIDENCY_HARNESS_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/adapters/residency.h"
#include "kernels/check.h"

namespace chorus::test {

class LayoutAdapter : public engine::AdapterVersion {
 public:
  // `pages` ids in every slab, all tiles of them in use.
  LayoutAdapter(const std::string& tenant, uint8_t content, int64_t pages,
                const kernels::PoolView& view, int64_t version = 1)
      : AdapterVersion(tenant, "adapter" + std::to_string(content), version, DigestFor(content),
                       LayoutFor(pages, view)) {}

  absl::StatusOr<std::unique_ptr<engine::ImageReader>> OpenImage() const override {
    return absl::InternalError("a layout has no image");
  }

 private:
  static engine::AdapterDigest DigestFor(uint8_t content) {
    engine::AdapterDigest digest;
    digest.bytes[0] = content;
    return digest;
  }
  static engine::ImageLayout LayoutFor(int64_t pages, const kernels::PoolView& view) {
    engine::ImageLayout layout;
    layout.modules.resize(static_cast<size_t>(view.num_slabs * kernels::kNumLoraModules));
    layout.modules[0].rank = static_cast<int32_t>(pages);
    layout.num_ids = pages;
    layout.num_tiles = pages * view.num_slabs * kernels::TilesPerCell(view);
    return layout;
  }
};

class HeldLoads : public engine::LoadQueue {
 public:
  void Start(engine::LoadJob job) override {
    CHORUS_CHECK(jobs.emplace(job.ticket, std::move(job)).second);
  }
  void SetRank(uint64_t ticket, int64_t rank) override { jobs.at(ticket).rank = rank; }
  bool Withdraw(uint64_t ticket) override { return !begun(ticket) && jobs.erase(ticket) == 1; }
  void Cancel(uint64_t ticket) override { cancelled.insert(ticket); }
  void Forget(const std::string& tenant, const engine::AdapterDigest& digest) override {
    forgotten.emplace(tenant, digest);
  }

  std::function<bool(uint64_t)> begun = [](uint64_t) { return true; };
  std::map<uint64_t, engine::LoadJob> jobs;  // not answered yet
  std::set<uint64_t> cancelled;
  std::set<engine::AdapterKey> forgotten;
};

class ResidencyHarness {
 public:
  using Resident = engine::Residency::Resident;

  explicit ResidencyHarness(int64_t num_pages = 20, int64_t pin_pages = 8,
                            engine::ReclaimPolicy policy = engine::ReclaimPolicy::kCost)
      : ResidencyHarness(num_pages, engine::Residency::Limits{.pin_pages = pin_pages}, policy) {}
  ResidencyHarness(int64_t num_pages, const engine::Residency::Limits& limits,
                   engine::ReclaimPolicy policy = engine::ReclaimPolicy::kCost)
      : view_{.base = nullptr, .num_ids = num_pages, .num_slabs = 2, .kv_heads = 1, .head_dim = 16},
        pool(view_),
        order(policy),
        residency({.pool = &pool, .loads = &loads, .order = &order, .prefixes = nullptr}, view_,
                  limits) {}
  ~ResidencyHarness() {
    while (!loads.jobs.empty()) Answer(loads.jobs.begin()->first, absl::CancelledError(""));
  }

  engine::AdapterRef Adapter(const std::string& tenant, uint8_t content, int64_t pages,
                             int64_t version = 1) const {
    return std::make_shared<LayoutAdapter>(tenant, content, pages, view_, version);
  }
  void StartLoad(Resident* resident) {
    residency.StartLoad(resident, *pool.Acquire(resident->pages()), now);
  }
  std::shared_ptr<const engine::LayerArrivals> Arrive(uint64_t ticket) {
    auto arrivals = std::make_shared<const engine::LayerArrivals>(engine::LayerArrivals::Events());
    residency.OnLoadArriving({ticket, arrivals});
    return arrivals;
  }
  engine::Residency::LoadResult Answer(uint64_t ticket, absl::Status status,
                                       absl::Duration took = absl::ZeroDuration()) {
    CHORUS_CHECK_EQ(loads.jobs.erase(ticket), 1u);
    loads.cancelled.erase(ticket);
    return residency.OnLoadDone({ticket, std::move(status), took}, now);
  }
  // Waits, loads and is resident, with one waiter.
  Resident* MakeResident(const engine::AdapterRef& adapter) {
    Resident* resident = residency.AddWaiter(adapter);
    StartLoad(resident);
    Answer(resident->ticket, absl::OkStatus());
    return resident;
  }
  // A request runs with it: it is loaded when it is not there, and idle afterwards.
  void Use(const engine::AdapterRef& adapter, absl::Duration load = absl::ZeroDuration()) {
    Resident* resident = residency.AddWaiter(adapter);
    if (resident->state == engine::ResidencyState::kDisk) {
      StartLoad(resident);
      Answer(resident->ticket, absl::OkStatus(), load);
    }
    residency.Hold(resident);
    residency.RemoveWaiter(resident);
    residency.Unhold(resident);
  }
  // "tenant/name" of all that Snapshot tells of, sorted.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const engine::AdapterResidency& one : residency.Snapshot()) {
      names.push_back(one.tenant + "/" + one.name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  bool IsResident(const engine::AdapterRef& adapter) const {
    for (const engine::AdapterResidency& one : residency.Snapshot()) {
      if (one.digest == adapter->digest()) return one.state == engine::ResidencyState::kResident;
    }
    return false;
  }

 private:
  const kernels::PoolView view_;

 public:
  absl::Time now = absl::FromUnixSeconds(1);
  engine::PagePool pool;
  engine::ReclaimOrder order;
  HeldLoads loads;
  engine::Residency residency;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_ADAPTERS_RESIDENCY_HARNESS_H_
