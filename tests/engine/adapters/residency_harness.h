// A residency over a pool without memory, adapters that are only a layout, and a load queue that
// answers when the test says so.
#ifndef CHORUS_TESTS_ENGINE_ADAPTERS_RESIDENCY_HARNESS_H_
#define CHORUS_TESTS_ENGINE_ADAPTERS_RESIDENCY_HARNESS_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

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
  void Cancel(uint64_t ticket) override { cancelled.insert(ticket); }
  void Forget(const std::string& tenant, const engine::AdapterDigest& digest) override {
    forgotten.emplace(tenant, digest);
  }

  std::map<uint64_t, engine::LoadJob> jobs;  // not answered yet
  std::set<uint64_t> cancelled;
  std::set<engine::AdapterKey> forgotten;
};

class ResidencyHarness {
 public:
  using Resident = engine::Residency::Resident;

  explicit ResidencyHarness(int64_t num_pages = 20, int64_t pin_pages = 8)
      : view_{.base = nullptr, .num_ids = num_pages, .num_slabs = 2, .kv_heads = 1, .head_dim = 16},
        pool(view_),
        residency(&pool, &loads, view_, pin_pages) {}
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
  engine::Residency::LoadResult Answer(uint64_t ticket, absl::Status status) {
    CHORUS_CHECK_EQ(loads.jobs.erase(ticket), 1u);
    loads.cancelled.erase(ticket);
    return residency.OnLoadDone({ticket, std::move(status)}, now);
  }
  // Waits, loads and is resident, with one waiter.
  Resident* MakeResident(const engine::AdapterRef& adapter) {
    Resident* resident = residency.AddWaiter(adapter);
    StartLoad(resident);
    Answer(resident->ticket, absl::OkStatus());
    return resident;
  }
  // Resident, and nobody uses it.
  void MakeIdle(const engine::AdapterRef& adapter, uint64_t epoch) {
    Resident* resident = MakeResident(adapter);
    residency.Hold(resident, epoch);
    residency.RemoveWaiter(resident);
    residency.Unhold(resident, epoch);
  }

 private:
  const kernels::PoolView view_;

 public:
  absl::Time now = absl::FromUnixSeconds(1);
  engine::PagePool pool;
  HeldLoads loads;
  engine::Residency residency;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_ADAPTERS_RESIDENCY_HARNESS_H_
