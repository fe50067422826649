// What SimDevice lets pass, in every order: work that streams and events order well.
#include "tests/simt/sim_device.h"

#include <cstring>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_fixture.h"

namespace chorus::kernels {
namespace {

class SimDeviceTest : public testing::TestWithParam<SimOptions> {};
INSTANTIATE_TEST_SUITE_P(Sim, SimDeviceTest, testing::ValuesIn(EverySimOrder()),
                         [](const auto& info) {
                           return absl::StrCat(Name(info.param.order), info.param.seed);
                         });

TEST_P(SimDeviceTest, StreamOrderAndEventsBind) {
  SimBench bench(GetParam());
  bench.SetIn(7);
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
  ASSERT_TRUE(Ok(bench.Order(bench.one.get(), bench.two.get(), bench.event.get())));
  ASSERT_TRUE(Ok(bench.Scramble(bench.two.get(), bench.y, bench.z)));
  ASSERT_TRUE(Ok(bench.Download(bench.two.get(), bench.z)));
  ASSERT_TRUE(Ok(bench.two->Synchronize()));
  EXPECT_TRUE(bench.OutIs(7, 2));
  EXPECT_TRUE(Ok(bench.device.Finish()));
}

TEST_P(SimDeviceTest, WaitIsForTheLastRecordOnly) {
  SimBench bench(GetParam());
  ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
  ASSERT_TRUE(Ok(bench.event->Wait()));
  bench.SetIn(90);  // the copy is done
  ASSERT_TRUE(Ok(bench.Download(bench.two.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.two->Synchronize()));
  EXPECT_TRUE(bench.OutIs(0, 0));
}

TEST_P(SimDeviceTest, EventIsDoneInTheEndAndWithoutRecordAtOnce) {
  SimBench bench(GetParam());
  EXPECT_TRUE(Value(bench.event->Done()));
  EXPECT_TRUE(Ok(bench.event->Wait()));
  EXPECT_TRUE(Ok(bench.two->Wait(bench.event.get())));
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
  int polls = 1;
  while (!Value(bench.event->Done())) {
    ASSERT_LT(++polls, 10'000);
  }
  bench.SetIn(5);  // allowed: the host knows that the copy is done
  EXPECT_TRUE(Ok(bench.device.Finish()));
  if (GetParam().order == SimOrder::kLazy || GetParam().order == SimOrder::kTimed) {
    EXPECT_GT(polls, 1);
  }
}

TEST_P(SimDeviceTest, FillAndCopyOnDeviceDoWhatTheySay) {
  SimBench bench(GetParam());
  ASSERT_TRUE(Ok(bench.one->Fill(bench.x.data(), 0x21, SimBench::kBytes)));
  ASSERT_TRUE(Ok(bench.one->CopyOnDevice(bench.y.data() + 8, bench.x.data(), 16)));
  ASSERT_TRUE(Ok(bench.Download(bench.one.get(), bench.y)));
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  for (int i = 0; i < SimBench::kBytes; ++i) {
    EXPECT_EQ(std::to_integer<int>(bench.out.data()[i]), i >= 8 && i < 24 ? 0x21 : 0xff) << i;
  }
}

// What a runner does with its steps' metadata: a ring of three pinned blocks, filled by the host,
// copied and used on one stream. Each step leaves a row of results.
struct Ring {
  static constexpr int kSteps = 30;

  explicit Ring(const SimOptions& options) : bench(options) {
    for (DeviceBuffer& block : blocks) block = Value(bench.device.AllocatePinned(SimBench::kBytes));
    for (auto& event : copied) event = Value(bench.device.NewEvent());
    results = Value(bench.device.Allocate(SimBench::kBytes * kSteps));
  }

  absl::Status Step(int step, bool guarded) {
    DeviceStream* const stream = bench.one.get();
    const DeviceBuffer& block = blocks[step % 3];
    absl::Status status = guarded ? copied[step % 3]->Wait() : absl::OkStatus();
    for (int32_t i = 0; i < SimBench::kCount; ++i) {
      block.As<uint32_t>()[i] = static_cast<uint32_t>(1000 * step + i);
    }
    status.Update(stream->CopyToDevice(bench.x.data(), block.data(), SimBench::kBytes));
    status.Update(stream->Record(copied[step % 3].get()));
    status.Update(bench.Scramble(stream, bench.x, bench.y));
    status.Update(stream->CopyOnDevice(results.data() + step * SimBench::kBytes, bench.y.data(),
                                       SimBench::kBytes));
    return status;
  }

  absl::Status Run(bool guarded) {
    for (int step = 0; step < kSteps; ++step) {
      if (absl::Status status = Step(step, guarded); !status.ok()) return status;
    }
    return bench.device.Finish();
  }

  SimBench bench;
  DeviceBuffer blocks[3];
  std::unique_ptr<DeviceEvent> copied[3];
  DeviceBuffer results;
};

TEST_P(SimDeviceTest, PinnedRingGuardedByEventsPasses) {
  Ring ring(GetParam());
  ASSERT_TRUE(Ok(ring.Run(/*guarded=*/true)));
  for (int step = 0; step < Ring::kSteps; ++step) {
    ASSERT_TRUE(Ok(ring.bench.one->CopyToHost(
        ring.bench.out.data(), ring.results.data() + step * SimBench::kBytes, SimBench::kBytes)));
    ASSERT_TRUE(Ok(ring.bench.one->Synchronize()));
    EXPECT_TRUE(ring.bench.OutIs(static_cast<uint32_t>(1000 * step), 1)) << step;
  }
}

TEST(SimRingTest, PinnedRingWithoutEventsFails) {
  std::string found_in;
  for (const SimOptions& options : EverySimOrder()) {
    Ring ring(options);
    const absl::Status status = ring.Run(/*guarded=*/false);
    if (options.order == SimOrder::kEager) {
      EXPECT_TRUE(Ok(status)) << "nothing is queued, so nothing can be wrong";
    } else if (!status.ok()) {
      EXPECT_TRUE(IsViolation(status, "changed the pinned source"));
      absl::StrAppend(&found_in, Name(options), "; ");
    } else {
      EXPECT_EQ(options.order, SimOrder::kRandom);
    }
  }
  EXPECT_TRUE(absl::StrContains(found_in, "random")) << found_in;
  RecordProperty("found_in", found_in);
}

TEST_P(SimDeviceTest, HostOpsRunInOrderOnceForEachReplay) {
  SimBench bench(GetParam());
  int runs = 0;
  const auto increment = [&](DeviceStream* stream) {
    return bench.device.Enqueue(stream, {.name = "Increment",
                                         .reads = {{bench.x.data(), SimBench::kBytes}},
                                         .writes = {{bench.x.data(), SimBench::kBytes}},
                                         .run = [&] {
                                           ++runs;
                                           for (int i = 0; i < SimBench::kCount; ++i) {
                                             ++bench.x.As<uint32_t>()[i];
                                           }
                                         }});
  };
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(increment(bench.one.get())));
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  ASSERT_TRUE(Ok(increment(bench.one.get())));
  const auto graph = Value(bench.one->EndCapture());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Ok(bench.one->Replay(graph.get())));
  ASSERT_TRUE(Ok(bench.Download(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  EXPECT_EQ(runs, 4);
  EXPECT_TRUE(bench.OutIs(4, 0));
  EXPECT_EQ(bench.device.counters().launches, 2);
}

TEST(SimCountersTest, WhatIsTakenAfterSealIsServedAndCounted) {
  SimBench bench({});
  EXPECT_EQ(bench.device.counters().allocations_after_seal, 0);
  bench.device.Seal();
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
  ASSERT_TRUE(Ok(bench.device.Finish()));
  EXPECT_EQ(bench.device.counters().allocations_after_seal, 0);
  {
    const DeviceBuffer device = Value(bench.device.Allocate(8));
    EXPECT_EQ(bench.device.counters().allocations_after_seal, 1);
    const DeviceBuffer pinned = Value(bench.device.AllocatePinned(8));
    EXPECT_EQ(bench.device.counters().allocations_after_seal, 2);
    const auto stream = Value(bench.device.NewStream(Device::Priority::kNormal));
    EXPECT_EQ(bench.device.counters().allocations_after_seal, 3);
    ASSERT_TRUE(Ok(stream->BeginCapture()));
    const auto graph = Value(stream->EndCapture());
    EXPECT_EQ(bench.device.counters().allocations_after_seal, 4);
    ASSERT_TRUE(Ok(stream->Replay(graph.get())));
  }
  EXPECT_EQ(bench.device.counters().allocations_after_seal, 8);
  EXPECT_EQ(bench.device.counters().launches, 1);
  EXPECT_EQ(bench.device.counters().graph_replays, 1);
}

TEST(SimMemoryTest, DeviceMemoryEndsWithWhatIsNeededAndFree) {
  SimOptions options;
  options.info.total_bytes = 1000;
  SimDevice device(options);
  EXPECT_EQ(Value(device.FreeBytes()), 1000);
  DeviceBuffer buffer = Value(device.Allocate(600));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 256, 0u);
  EXPECT_EQ(Value(device.FreeBytes()), 400);
  const absl::Status status = device.Allocate(401).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("need 401"), testing::HasSubstr("400 of 1000")));
  buffer = {};
  EXPECT_EQ(Value(device.FreeBytes()), 1000);
}

TEST(SimMemoryTest, NewAndFreedMemoryIsPoisoned) {
  SimDevice device({});
  for (const bool pinned : {false, true}) {
    DeviceBuffer buffer = Value(pinned ? device.AllocatePinned(512) : device.Allocate(512));
    const std::byte* const data = buffer.data();
    EXPECT_TRUE(std::all_of(data, data + 512, [](std::byte b) { return b == std::byte{0xff}; }));
    std::memset(buffer.data(), 3, 512);
    buffer = {};
    // Freed memory stays readable while the device lives, so that a late read finds poison.
    EXPECT_TRUE(std::all_of(data, data + 512, [](std::byte b) { return b == std::byte{0xff}; }));
  }
}

TEST(SimPrepareTest, SharedMemoryPastTheDefaultIsPreparedBeforeSeal) {
  SimBench bench({});
  constexpr int32_t kBytes = 64 << 10;
  const DeviceBuffer sums = Value(bench.device.Allocate(2 * kTestThreads * 4));
  const SharedSumParams params{sums.As<uint32_t>(), 2, kBytes / 4};
  EXPECT_TRUE(IsRefused(bench.one->Launch(kTestSharedSum, 2, kBytes, params), "prepared for 0"));
  EXPECT_TRUE(IsRefused(bench.device.Prepare(kTestSharedSum, 228 << 10), "has 232448"));
  ASSERT_TRUE(Ok(bench.device.Prepare(kTestSharedSum, kBytes)));
  ASSERT_TRUE(Ok(bench.device.Prepare(kTestSharedSum, 1)));  // takes nothing back
  ASSERT_TRUE(Ok(bench.one->Launch(kTestSharedSum, 2, kBytes, params)));
  EXPECT_TRUE(IsRefused(bench.one->Launch(kTestSharedSum, 2, kBytes + 4, params),
                        absl::StrCat("prepared for ", kBytes)));
  const DeviceBuffer host = Value(bench.device.AllocatePinned(sums.bytes()));
  ASSERT_TRUE(Ok(bench.one->CopyToHost(host.data(), sums.data(), sums.bytes())));
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  for (int i = 0; i < 2 * kTestThreads; ++i) {
    EXPECT_EQ(host.As<uint32_t>()[i], SharedSum(params, i / kTestThreads, i % kTestThreads));
  }
  bench.device.Seal();
  EXPECT_TRUE(IsRefused(bench.device.Prepare(kTestSharedSum, kBytes), "after Seal"));
  const Kernel foreign = {"kForeign", 32, 1, sizeof(params), nullptr, nullptr};
  EXPECT_TRUE(IsRefused(bench.one->Launch(foreign, 1, 0, params), "kForeign"));
}

TEST(SimClusterTest, RefusalsSayWhatIsMissing) {
  const ClusterSumParams params{nullptr, kTestClusterBlocks};
  SimOptions older{.seed = 2};
  older.info.compute_capability = 80;
  SimBench without(older);
  const char* const want =
      "kTestClusterSum: runs in clusters of thread blocks, which need compute "
      "capability 9.0, simulator has 8.0";
  EXPECT_TRUE(IsRefused(without.device.Prepare(kTestClusterSum, kTestClusterShared), want));
  EXPECT_TRUE(IsRefused(
      without.one->Launch(kTestClusterSum, kTestClusterBlocks, kTestClusterShared, params), want));
  SimOptions small{.seed = 2};
  small.info.multiprocessors = 1;
  SimBench few(small);
  EXPECT_TRUE(
      IsRefused(few.device.ResidentBlocks(kTestClusterSum, kTestClusterShared).status(),
                "kTestClusterSum: no cluster of 4 thread blocks fits on the multiprocessors of"));
}

TEST(SimThreadsTest, StreamsOfSeveralThreadsDoNotMixUp) {
  SimDevice device({.order = SimOrder::kRandom, .seed = 3});
  std::vector<std::thread> threads;
  std::vector<absl::Status> statuses(4);
  for (size_t t = 0; t < statuses.size(); ++t) {
    threads.emplace_back([&, t] {
      const DeviceBuffer data = Value(device.Allocate(400));
      const DeviceBuffer host = Value(device.AllocatePinned(400));
      const auto stream = Value(device.NewStream(Device::Priority::kNormal));
      for (int round = 0; round < 20 && statuses[t].ok(); ++round) {
        std::fill_n(host.As<uint32_t>(), 100, static_cast<uint32_t>(t));
        statuses[t].Update(stream->CopyToDevice(data.data(), host.data(), 400));
        statuses[t].Update(stream->Launch(
            kTestScramble, 1, 0, ScrambleParams{data.As<uint32_t>(), data.As<uint32_t>(), 100, 2}));
        statuses[t].Update(stream->CopyToHost(host.data(), data.data(), 400));
        statuses[t].Update(stream->Synchronize());
        if (host.As<uint32_t>()[99] != Scrambled(static_cast<uint32_t>(t), 2)) {
          statuses[t].Update(absl::InternalError("a wrong number"));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) EXPECT_TRUE(Ok(status));
}

}  // namespace
}  // namespace chorus::kernels
