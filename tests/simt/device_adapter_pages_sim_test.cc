// Adapters on their way to a device, on the simulator: every byte where the host would put it, what
// the pinned images keep and give up, and loads that are cancelled, damaged or used early.
#include <atomic>
#include <cstring>
#include <functional>
#include <future>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/adapter_pages_rig.h"

namespace chorus::engine {
namespace {

using kernels::SimOrder;
using test::BytesOf;
using test::ObservedAdapter;
using test::Observer;
using ::testing::HasSubstr;
using Rig = test::AdapterPagesRig;

TEST(DeviceAdapterPagesTest, EveryByteComesWhereTheHostWouldPutIt) {
  for (const SimOrder order :
       {SimOrder::kEager, SimOrder::kLazy, SimOrder::kRandom, SimOrder::kTimed}) {
    Rig rig({.order = order, .seed = 7});
    int32_t first = 0;
    for (const int rank : {1, 8, 9, 24, 64}) {
      const auto adapter = Rig::Adapter(static_cast<uint64_t>(rank), rank);
      for (const int32_t stride : {1, 2}) {
        const std::vector<int32_t> cells = Rig::Cells(*adapter, first, stride);
        ASSERT_LT(first + adapter->layout().num_ids * stride, Rig::kPages);
        EXPECT_TRUE(rig.Load(*adapter, cells).ok());
        rig.ExpectLoaded(*adapter, cells);
        EXPECT_EQ(adapter->opened, stride == 1 ? 2 : 3);  // one each time for the check
      }
      ++first;
    }
  }
}

TEST(DeviceAdapterPagesTest, AForgottenImageIsReadAgain) {
  Rig rig;
  const auto adapter = Rig::Adapter(1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.Load(*adapter, Rig::Cells(*adapter, 0)).ok());
  EXPECT_EQ(adapter->opened, 1);
  rig.pages().Forget("another tenant", adapter->digest());
  ASSERT_TRUE(rig.Load(*adapter, Rig::Cells(*adapter, 0)).ok());
  EXPECT_EQ(adapter->opened, 1);
  rig.pages().Forget("t", adapter->digest());
  ASSERT_TRUE(rig.Load(*adapter, Rig::Cells(*adapter, 0)).ok());
  EXPECT_EQ(adapter->opened, 2);
}

TEST(DeviceAdapterPagesTest, NothingIsKeptOfAVersionThatRetiresWhileItLoads) {
  Rig rig;
  const auto adapter = Rig::Adapter(1);
  adapter->on_open = [&] {
    adapter->Retire();
    rig.pages().Forget("t", adapter->digest());  // too early to find anything
  };
  ASSERT_TRUE(rig.Load(*adapter, Rig::Cells(*adapter, 0)).ok());
  rig.ExpectLoaded(*adapter, Rig::Cells(*adapter, 0));
  adapter->opened = 0;
  ASSERT_TRUE(rig.Load(*adapter, Rig::Cells(*adapter, 0)).ok());
  EXPECT_EQ(adapter->opened, 1);
}

TEST(DeviceAdapterPagesTest, WhatWasUsedLongestAgoMakesRoom) {
  const auto a = Rig::Adapter(1), b = Rig::Adapter(2), c = Rig::Adapter(3);
  const int64_t bytes = BytesOf(*a);
  Rig rig({}, 2 * bytes, bytes / 2);
  const auto load = [&](const ObservedAdapter& adapter) {
    ASSERT_TRUE(rig.Load(adapter, Rig::Cells(adapter, 0)).ok());
  };
  load(*a);
  load(*b);
  load(*a);
  load(*c);  // takes b's room
  load(*a);
  EXPECT_EQ(a->opened, 1);
  load(*b);
  EXPECT_EQ(b->opened, 2);
  rig.ExpectLoaded(*b, Rig::Cells(*b, 0));
}

TEST(DeviceAdapterPagesTest, AnImageBeyondTheArenaIsRefusedWithTheFlagThatHelps) {
  Rig rig({}, 2048, 512);
  const auto adapter = Rig::Adapter(1, 64);
  const absl::Status status = rig.Load(*adapter, Rig::Cells(*adapter, 0));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--adapter-host-bytes"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("2048"));
}

TEST(DeviceAdapterPagesTest, ACancelledLoadWritesNoMoreOnceItHasAnswered) {
  for (const SimOrder order : {SimOrder::kLazy, SimOrder::kRandom}) {
    Rig rig({.order = order});
    const auto unwanted = Rig::Adapter(1, 64);
    const auto wanted = Rig::Adapter(2, 64);
    const std::vector<int32_t> cells = Rig::Cells(*wanted, 3);
    for (const int asked : {0, 1}) {  // before the first layer, before the second
      Observer observer;
      observer.CancelAfter(asked);
      EXPECT_TRUE(absl::IsCancelled(rig.pages().Load(*unwanted, cells, &observer)));
      EXPECT_EQ(observer.arrivals(), nullptr);
      ASSERT_TRUE(rig.Load(*wanted, cells).ok());
      rig.ExpectLoaded(*wanted, cells);
    }
    const int opened = unwanted->opened;
    ASSERT_TRUE(rig.Load(*unwanted, cells).ok());
    EXPECT_EQ(unwanted->opened, opened + 1);  // half an image is no image
    rig.ExpectLoaded(*unwanted, cells);
  }
}

TEST(DeviceAdapterPagesTest, StepsThatAwaitEachLayerMayReadItBeforeTheLoadHasEnded) {
  Rig rig({.order = SimOrder::kLazy, .copy_slowness = 20});
  const auto adapter = Rig::Adapter(1, 64);
  const std::vector<int32_t> cells = Rig::Cells(*adapter, 5);
  ASSERT_TRUE(rig.Load(*adapter, Rig::Cells(*adapter, 30)).ok());  // its image is on the host
  Observer observer;
  observer.on_arriving = [&] {
    // As a step does: layer by layer, on a stream of its own.
    int64_t tiles = 0;
    for (size_t layer = 0; layer < 2; ++layer) {
      ASSERT_TRUE(rig.reader().Wait(observer.arrivals()->layers()[layer].get()).ok());
      const int64_t end = adapter->layout().layer_tiles_begin[layer + 1];
      for (; tiles < end; ++tiles) {
        const int64_t at = tiles * kernels::TileBytes(rig.pool().dtype);
        std::byte* const from = CellRuns(rig.pool(), cells).At(at, 1).data();
        ASSERT_TRUE(rig.reader().CopyToHost(rig.back() + at, from, 512).ok());
      }
    }
  };
  ASSERT_TRUE(rig.pages().Load(*adapter, cells, &observer).ok());
  ASSERT_TRUE(rig.reader().Synchronize().ok());
  EXPECT_EQ(adapter->opened, 1);
  test::TestPool expected(kernels::DType::kBf16, 1, 16, Rig::kPages, 2, Rig::Geometry().b_tiles);
  Observer other;
  ASSERT_TRUE(HostAdapterPages(expected.view()).Load(*adapter, cells, &other).ok());
  for (int64_t tile = 0; tile < adapter->layout().num_tiles; ++tile) {
    const int64_t at = tile * kernels::TileBytes(rig.pool().dtype);
    EXPECT_EQ(std::memcmp(rig.back() + at, CellRuns(expected.view(), cells).At(at, 1).data(), 512),
              0)
        << "tile " << tile;
  }
}

TEST(DeviceAdapterPagesTest, AStepThatAwaitsNothingIsFound) {
  Rig rig({.order = SimOrder::kLazy});
  const auto adapter = Rig::Adapter(1);
  const std::vector<int32_t> cells = Rig::Cells(*adapter, 5);
  Observer observer;
  observer.on_arriving = [&] {
    rig.reader().CopyToHost(rig.back(), rig.pool().CellAddress(cells[0]), 512).IgnoreError();
  };
  rig.pages().Load(*adapter, cells, &observer).IgnoreError();
  rig.misused = true;
}

TEST(DeviceAdapterPagesTest, LayersAreExpectedAsFastAsCopiesWereAtTheStart) {
  Rig rig({.order = SimOrder::kTimed, .copy_us = 0, .host_bytes_per_us = 1000}, 64 << 10, 4096);
  EXPECT_NEAR(rig.pages().bytes_per_second(), 1e9, 1e7);
  const auto adapter = Rig::Adapter(1, 64);
  const int64_t bytes = BytesOf(*adapter);
  Observer observer;
  ASSERT_TRUE(rig.pages().Load(*adapter, Rig::Cells(*adapter, 0), &observer).ok());
  ASSERT_NE(observer.arrivals(), nullptr);
  const ArrivalProgress progress = observer.arrivals()->progress();
  EXPECT_EQ(progress.layers_there, 2);
  EXPECT_EQ(progress.at, rig.now());
  EXPECT_NEAR(absl::ToDoubleSeconds(progress.layer_time), static_cast<double>(bytes) / 2e9, 1e-9);
}

TEST(DeviceAdapterPagesTest, AnotherLoadsCopiesAheadMeanThatNobodyUsesItEarly) {
  Rig rig;
  const auto first = Rig::Adapter(1);
  const auto second = Rig::Adapter(2);
  Observer behind;
  Observer ahead;
  ahead.on_arriving = [&] {  // the first one's copies are under way
    ASSERT_TRUE(rig.pages().Load(*second, Rig::Cells(*second, 20), &behind).ok());
  };
  ASSERT_TRUE(rig.pages().Load(*first, Rig::Cells(*first, 0), &ahead).ok());
  EXPECT_NE(ahead.arrivals(), nullptr);
  EXPECT_EQ(behind.arrivals(), nullptr);
  rig.ExpectLoaded(*first, Rig::Cells(*first, 0));
  rig.ExpectLoaded(*second, Rig::Cells(*second, 20));
}

TEST(DeviceAdapterPagesTest, WhoFindsNoRoomWaitsForItOrIsCancelled) {
  const auto holder = Rig::Adapter(1), waiter = Rig::Adapter(2);
  const int64_t bytes = BytesOf(*holder);
  Rig rig({}, bytes, bytes);
  std::promise<void> holding;
  std::promise<void> go;
  Observer first;
  first.on_arriving = [&] {
    holding.set_value();
    go.get_future().wait();
  };
  std::thread thread(
      [&] { EXPECT_TRUE(rig.pages().Load(*holder, Rig::Cells(*holder, 0), &first).ok()); });
  holding.get_future().wait();
  Observer impatient;
  impatient.CancelAfter(3);
  EXPECT_TRUE(absl::IsCancelled(rig.pages().Load(*waiter, Rig::Cells(*waiter, 10), &impatient)));
  go.set_value();
  EXPECT_TRUE(rig.Load(*waiter, Rig::Cells(*waiter, 10)).ok());
  thread.join();
  rig.ExpectLoaded(*waiter, Rig::Cells(*waiter, 10));
}

TEST(DeviceAdapterPagesTest, ManyThreadsLoadIntoPagesOfTheirOwn) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Rig rig({.order = SimOrder::kRandom, .seed = seed}, 12 << 10, 1024);
  std::vector<std::shared_ptr<ObservedAdapter>> adapters;
  for (uint64_t i = 0; i < 6; ++i)
    adapters.push_back(Rig::Adapter(i, 8 + 8 * static_cast<int>(i % 3)));
  constexpr int kThreads = 4;
  std::vector<size_t> last(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + static_cast<uint64_t>(t));
      for (int i = 0; i < 30; ++i) {
        last[static_cast<size_t>(t)] = random() % adapters.size();
        const ObservedAdapter& adapter = *adapters[last[static_cast<size_t>(t)]];
        Observer observer;
        if (random() % 4 == 0 && i < 29) observer.CancelAfter(static_cast<int>(random() % 3));
        const absl::Status status =
            rig.pages().Load(adapter, Rig::Cells(adapter, 16 * t), &observer);
        EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    const ObservedAdapter& adapter = *adapters[last[static_cast<size_t>(t)]];
    rig.ExpectLoaded(adapter, Rig::Cells(adapter, 16 * t));
  }
}

}  // namespace
}  // namespace chorus::engine
