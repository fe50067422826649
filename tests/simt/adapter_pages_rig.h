// What tests of DeviceAdapterPages share: a sealed simulated device with a pool, adapters that see
// their image being opened, and loads that are watched.
#ifndef CHORUS_TESTS_SIMT_ADAPTER_PAGES_RIG_H_
#define CHORUS_TESTS_SIMT_ADAPTER_PAGES_RIG_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/adapters/device_adapter_pages.h"
#include "gtest/gtest.h"
#include "kernels/check.h"
#include "tests/simt/sim_device.h"
#include "tests/support/fake_clock.h"
#include "tests/support/memory_adapter.h"
#include "tests/support/small_adapter.h"
#include "tests/support/test_pool.h"

namespace chorus::test {

// An adapter that counts how often its image is opened, and what a test wants to happen then.
class ObservedAdapter : public engine::AdapterVersion {
 public:
  explicit ObservedAdapter(engine::AdapterRef adapter)
      : engine::AdapterVersion(adapter->tenant(), adapter->name(), 1, adapter->digest(),
                               adapter->layout()),
        adapter_(std::move(adapter)) {}

  absl::StatusOr<std::unique_ptr<engine::ImageReader>> OpenImage() const override {
    ++opened;
    if (on_open != nullptr) on_open();
    return adapter_->OpenImage();
  }

  mutable std::atomic<int> opened{0};
  std::function<void()> on_open;

 private:
  const engine::AdapterRef adapter_;
};

class Observer : public engine::LoadObserver {
 public:
  bool cancelled() const override { return cancel_after_ >= 0 && asked_++ >= cancel_after_; }
  void Arriving(std::shared_ptr<const engine::LayerArrivals> arrivals) override {
    EXPECT_EQ(arrivals_, nullptr) << "said twice";
    arrivals_ = std::move(arrivals);
    if (on_arriving != nullptr) on_arriving();
  }
  // Says so when it was asked `times` times before.
  void CancelAfter(int times) { cancel_after_ = times; }

  const std::shared_ptr<const engine::LayerArrivals>& arrivals() const { return arrivals_; }
  std::function<void()> on_arriving;

 private:
  std::atomic<int> cancel_after_{-1};
  mutable std::atomic<int> asked_{0};
  std::shared_ptr<const engine::LayerArrivals> arrivals_;
};

// A sealed device with a pool, and what brings adapters there.
class AdapterPagesRig {
 public:
  static constexpr int64_t kPages = 64;

  explicit AdapterPagesRig(const kernels::SimOptions& options = {}, int64_t pinned_bytes = 64 << 10,
                           int64_t chunk_bytes = 1536)
      : sim_(options),
        memory_(*sim_.Allocate(Geometry().total_bytes())),
        back_(*sim_.AllocatePinned(Geometry().total_bytes())),
        reader_(*sim_.NewStream(kernels::Device::Priority::kNormal)) {
    pool_ = Geometry();
    pool_.base = memory_.data();
    auto pages = engine::DeviceAdapterPages::Create(
        &sim_, pool_, {.pinned_bytes = pinned_bytes, .chunk_bytes = chunk_bytes}, &clock_);
    CHORUS_CHECK(pages.ok());
    pages_ = *std::move(pages);
    sim_.Seal();
  }
  ~AdapterPagesRig() {
    const absl::Status finished = sim_.Finish();
    EXPECT_EQ(finished.ok(), !misused) << finished;
    EXPECT_EQ(sim_.counters().allocations_after_seal, 0);
  }

  static kernels::PoolView Geometry() {
    return {.num_ids = kPages,
            .num_slabs = 2,
            .kv_heads = 1,
            .head_dim = 16,
            .dtype = kernels::DType::kBf16,
            .b_tiles = kernels::BTileOrder::kFragments};
  }
  static std::shared_ptr<ObservedAdapter> Adapter(uint64_t seed, int rank = 8) {
    const SmallAdapter files = SmallAdapter::Make(seed, rank);
    return std::make_shared<ObservedAdapter>(
        *MemoryAdapter::Make("t", "a", files.config, files.tensors, SmallModel(), Geometry()));
  }
  // Of a lease of ids from `first` on, every `stride`-th.
  static std::vector<int32_t> Cells(const engine::AdapterVersion& adapter, int32_t first,
                                    int32_t stride = 1) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < adapter.layout().num_ids; ++i) {
      ids.push_back(first + static_cast<int32_t>(i) * stride);
    }
    const int64_t tiles = adapter.layout().num_tiles;
    return engine::CellsInFillOrder(ids, kernels::CeilDiv(tiles, kernels::TilesPerCell(Geometry())),
                                    Geometry());
  }
  absl::Status Load(const engine::AdapterVersion& adapter, const std::vector<int32_t>& cells) {
    Observer observer;
    return pages_->Load(adapter, cells, &observer);
  }
  // The device's cells hold what the host's way of loading puts there.
  void ExpectLoaded(const engine::AdapterVersion& adapter, const std::vector<int32_t>& cells) {
    Observer observer;
    TestPool expected(kernels::DType::kBf16, 1, 16, kPages, 2, Geometry().b_tiles);
    ASSERT_TRUE(engine::HostAdapterPages(expected.view()).Load(adapter, cells, &observer).ok());
    kernels::PoolView got = pool_;
    got.base = back_.data();
    ASSERT_TRUE(reader_->CopyToHost(back_.data(), memory_.data(), pool_.total_bytes()).ok());
    ASSERT_TRUE(reader_->Synchronize().ok());
    int64_t left = adapter.layout().num_tiles * kernels::TileBytes(pool_.dtype);
    for (const int32_t cell : cells) {
      const auto bytes = static_cast<size_t>(std::min(left, pool_.cell_bytes()));
      EXPECT_EQ(std::memcmp(got.CellAddress(cell), expected.view().CellAddress(cell), bytes), 0)
          << "cell " << cell;
      left -= pool_.cell_bytes();
    }
    EXPECT_LE(left, 0);
  }

  engine::DeviceAdapterPages& pages() { return *pages_; }
  kernels::DeviceStream& reader() { return *reader_; }
  std::byte* back() const { return back_.data(); }  // pinned, as large as the pool
  const kernels::PoolView& pool() const { return pool_; }
  absl::Time now() const { return clock_.Now(); }

  bool misused = false;  // the test does it on purpose

 private:
  kernels::SimDevice sim_;
  FakeClock clock_;
  kernels::DeviceBuffer memory_, back_;
  std::unique_ptr<kernels::DeviceStream> reader_;
  kernels::PoolView pool_;
  std::unique_ptr<engine::DeviceAdapterPages> pages_;
};

inline int64_t BytesOf(const engine::AdapterVersion& adapter) {
  return adapter.layout().num_tiles * kernels::TileBytes(kernels::DType::kBf16);
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_ADAPTER_PAGES_RIG_H_
