// What kernels/device/device.h promises, on every device that a program names.
#include "tests/support/device_contract.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/support/device_kernels.h"

namespace chorus::kernels {
namespace {

constexpr int32_t kCount = 1000;
constexpr int64_t kBytes = kCount * 4;

testing::AssertionResult Ok(const absl::Status& status) {
  if (status.ok()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << status;
}
testing::AssertionResult Is(absl::StatusCode code, const absl::Status& status) {
  if (status.code() == code) return testing::AssertionSuccess();
  return testing::AssertionFailure() << status << ", want " << absl::StatusCodeToString(code);
}
testing::AssertionResult IsRefused(const absl::Status& status) {
  return Is(absl::StatusCode::kFailedPrecondition, status);
}

template <class T>
T Value(absl::StatusOr<T> value) {
  EXPECT_TRUE(value.ok()) << value.status();
  return *std::move(value);
}

class DeviceContractTest : public testing::TestWithParam<DeviceUnderTest> {
 protected:
  void SetUp() override {
    auto opened = GetParam().open();
    if (opened.status().code() == absl::StatusCode::kNotFound) GTEST_SKIP() << opened.status();
    ASSERT_TRUE(opened.ok()) << opened.status();
    device_ = *std::move(opened);
    for (DeviceBuffer* buffer : {&x_, &y_, &z_}) *buffer = Value(device_->Allocate(kBytes));
    for (DeviceBuffer* buffer : {&in_, &out_}) *buffer = Value(device_->AllocatePinned(kBytes));
    one_ = Value(device_->NewStream(Device::Priority::kNormal));
    two_ = Value(device_->NewStream(Device::Priority::kHigh));
    event_ = Value(device_->NewEvent());
    other_event_ = Value(device_->NewEvent());
    ASSERT_TRUE(Ok(device_->Prepare(kTestScramble, 0)));
    SetIn(1);
  }

  void SetIn(uint32_t value) {
    for (int32_t i = 0; i < kCount; ++i) in_.As<uint32_t>()[i] = value + static_cast<uint32_t>(i);
  }
  // Of the first, the middle and the last number: Scrambled is slow here too.
  bool OutIs(uint32_t value, int32_t rounds) const {
    for (const int32_t i : {0, kCount / 2, kCount - 1}) {
      if (out_.As<uint32_t>()[i] != Scrambled(value + static_cast<uint32_t>(i), rounds)) {
        return false;
      }
    }
    return true;
  }
  absl::Status Scramble(DeviceStream* stream, const DeviceBuffer& from, const DeviceBuffer& to,
                        int32_t rounds) {
    return stream->Launch(kTestScramble, 3, 0,
                          ScrambleParams{from.As<uint32_t>(), to.As<uint32_t>(), kCount, rounds});
  }
  absl::Status Upload(DeviceStream* stream, const DeviceBuffer& to) {
    return stream->CopyToDevice(to.data(), in_.data(), kBytes);
  }
  absl::Status Download(DeviceStream* stream, const DeviceBuffer& from) {
    return stream->CopyToHost(out_.data(), from.data(), kBytes);
  }
  absl::Status Order(DeviceStream* earlier, DeviceStream* later, DeviceEvent* by) {
    absl::Status status = earlier->Record(by);
    status.Update(later->Wait(by));
    return status;
  }
  // in → x; then x → y slowly on one and x → z on two; then z → y over it; y → out.
  std::unique_ptr<DeviceGraph> CaptureForkAndJoin() {
    EXPECT_TRUE(Ok(one_->BeginCapture()));
    EXPECT_TRUE(Ok(Upload(one_.get(), x_)));
    EXPECT_TRUE(Ok(Order(one_.get(), two_.get(), event_.get())));
    EXPECT_TRUE(Ok(Scramble(one_.get(), x_, y_, GetParam().slow_rounds)));
    EXPECT_TRUE(Ok(Scramble(two_.get(), x_, z_, 2)));
    EXPECT_TRUE(Ok(Order(two_.get(), one_.get(), other_event_.get())));
    EXPECT_TRUE(Ok(Scramble(one_.get(), z_, y_, 3)));
    EXPECT_TRUE(Ok(Download(one_.get(), y_)));
    return Value(one_->EndCapture());
  }

  std::unique_ptr<Device> device_;
  DeviceBuffer x_, y_, z_, in_, out_;
  std::unique_ptr<DeviceStream> one_, two_;
  std::unique_ptr<DeviceEvent> event_, other_event_;
};
INSTANTIATE_TEST_SUITE_P(Device, DeviceContractTest, testing::ValuesIn(DevicesUnderTest()),
                         [](const auto& info) { return info.param.name; });

// Each launch reads what the one before wrote, and each may begin before that one is done.
TEST_P(DeviceContractTest, LaunchesThatBeginEarlyFollowEachOther) {
  constexpr int kLaunches = 40;
  ASSERT_TRUE(Ok(device_->Prepare(kTestEarly, 0)));
  const auto enqueue = [&] {
    absl::Status status;
    for (int i = 0; i < kLaunches; ++i) {
      const DeviceBuffer& from = i % 2 == 0 ? x_ : y_;
      const DeviceBuffer& to = i % 2 == 0 ? y_ : x_;
      status.Update(one_->Launch(kTestEarly, DivideUp(kCount, kTestThreads), 0,
                                 EarlyParams{.salt = z_.As<uint32_t>(),
                                             .x = from.As<uint32_t>(),
                                             .y = to.As<uint32_t>(),
                                             .count = kCount,
                                             .fault = EarlyFault::kNone},
                                 LaunchBegin::kEarly));
    }
    return status;
  };
  const auto expect = [&](int launches) {
    ASSERT_TRUE(Ok(Download(one_.get(), x_)));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    for (int32_t i = 0; i < kCount; ++i) {
      const uint32_t salt = 1 + static_cast<uint32_t>(i);
      uint32_t value = salt;
      for (int l = 0; l < launches; ++l) value = 3 * value + salt;
      ASSERT_EQ(out_.As<uint32_t>()[i], value) << i;
    }
  };
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(Upload(one_.get(), z_)));
  ASSERT_TRUE(Ok(enqueue()));
  expect(kLaunches);
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(enqueue()));
  const auto graph = Value(one_->EndCapture());
  for (int replay = 0; replay < 3; ++replay) ASSERT_TRUE(Ok(one_->Replay(graph.get())));
  expect(4 * kLaunches);
}

TEST_P(DeviceContractTest, InfoIsOfACardThatWeSupport) {
  const DeviceInfo& info = device_->info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_GE(info.compute_capability, 80);
  EXPECT_GT(info.multiprocessors, 0);
  EXPECT_GE(info.max_block_shared_bytes, 99 << 10);
  EXPECT_GT(info.l2_bytes, 1 << 20);
  EXPECT_LE(Value(device_->FreeBytes()), info.total_bytes);
}

TEST_P(DeviceContractTest, CopiesAndFillsMoveEveryByteAndNoOther) {
  const uint32_t seed = 4;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const int64_t bytes : {int64_t{1}, int64_t{3}, int64_t{4096}, (int64_t{1} << 20) + 5}) {
    const int64_t padded = bytes + 16;
    const DeviceBuffer from = Value(device_->AllocatePinned(bytes));
    const DeviceBuffer to = Value(device_->AllocatePinned(padded));
    const DeviceBuffer first = Value(device_->Allocate(bytes));
    const DeviceBuffer second = Value(device_->Allocate(padded));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(second.data()) % 256, 0u);
    for (int64_t i = 0; i < bytes; ++i) from.As<uint8_t>()[i] = static_cast<uint8_t>(random());
    ASSERT_TRUE(Ok(one_->Fill(second.data(), 0xa5, padded)));
    ASSERT_TRUE(Ok(one_->CopyToDevice(first.data(), from.data(), bytes)));
    ASSERT_TRUE(Ok(one_->CopyOnDevice(second.data() + 8, first.data(), bytes)));
    ASSERT_TRUE(Ok(one_->CopyToHost(to.data(), second.data(), padded)));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    EXPECT_TRUE(std::equal(from.data(), from.data() + bytes, to.data() + 8));
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(to.As<uint8_t>()[i], 0xa5);
      EXPECT_EQ(to.As<uint8_t>()[8 + bytes + i], 0xa5);
    }
  }
  ASSERT_TRUE(Ok(one_->Fill(nullptr, 0, 0)));
  ASSERT_TRUE(Ok(one_->CopyOnDevice(nullptr, nullptr, 0)));
  EXPECT_TRUE(Ok(one_->Synchronize()));
}

TEST_P(DeviceContractTest, ManyCopiesMoveEveryByteAndNoOther) {
  const uint32_t seed = 5;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::vector<int64_t> sizes = {1, 0, 12 << 10, 3, 64 << 10, 512, 100, 64 << 10};
  constexpr int64_t kGap = 24;
  int64_t bytes = kGap;
  for (const int64_t size : sizes) bytes += size + kGap;
  const DeviceBuffer from = Value(device_->AllocatePinned(bytes));
  const DeviceBuffer back = Value(device_->AllocatePinned(bytes));
  const DeviceBuffer to = Value(device_->Allocate(bytes));
  for (int64_t i = 0; i < bytes; ++i) from.As<uint8_t>()[i] = static_cast<uint8_t>(random());
  std::vector<uint8_t> want(static_cast<size_t>(bytes), 0xa5);
  std::vector<DeviceCopy> copies;
  int64_t at = kGap;
  for (const int64_t size : sizes) {
    // From the other end, so that what lies together there does not here.
    const std::byte* const piece = from.data() + bytes - at - size;
    copies.push_back({to.data() + at, piece, size});
    std::memcpy(want.data() + at, piece, static_cast<size_t>(size));
    at += size + kGap;
  }
  std::shuffle(copies.begin(), copies.end(), random);
  ASSERT_TRUE(Ok(one_->Fill(to.data(), 0xa5, bytes)));
  ASSERT_TRUE(Ok(one_->CopyManyToDevice(copies)));
  ASSERT_TRUE(Ok(one_->CopyManyToDevice({})));
  ASSERT_TRUE(Ok(one_->CopyToHost(back.data(), to.data(), bytes)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_TRUE(std::equal(want.begin(), want.end(), back.As<uint8_t>()));

  // And to where they came from, over nothing but their own bytes.
  std::fill_n(back.As<uint8_t>(), bytes, uint8_t{0x5a});
  want.assign(static_cast<size_t>(bytes), 0x5a);
  for (DeviceCopy& copy : copies) {
    const int64_t came_from = static_cast<const std::byte*>(copy.from) - from.data();
    std::memcpy(want.data() + came_from, copy.from, static_cast<size_t>(copy.bytes));
    copy.from = std::exchange(copy.to, back.data() + came_from);
  }
  ASSERT_TRUE(Ok(one_->CopyManyToHost(copies)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_TRUE(std::equal(want.begin(), want.end(), back.As<uint8_t>()));
}

TEST_P(DeviceContractTest, EventsOrderStreamsAndTellTheHost) {
  const int32_t slow = GetParam().slow_rounds;
  EXPECT_TRUE(Value(event_->Done()));
  EXPECT_TRUE(Ok(event_->Wait()));
  EXPECT_TRUE(Ok(two_->Wait(event_.get())));
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(Scramble(one_.get(), x_, y_, slow)));
  ASSERT_TRUE(Ok(Order(one_.get(), two_.get(), event_.get())));
  ASSERT_TRUE(Ok(Scramble(two_.get(), y_, z_, 1)));
  ASSERT_TRUE(Ok(Download(two_.get(), z_)));
  ASSERT_TRUE(Ok(two_->Record(other_event_.get())));
  if (slow > 1000) {
    EXPECT_FALSE(Value(other_event_->Done()));
  }
  while (!Value(other_event_->Done())) {
  }
  EXPECT_TRUE(OutIs(1, slow + 1));
}

// Metadata of steps in a ring of three pinned blocks; results are kept and compared at the end.
TEST_P(DeviceContractTest, PinnedRingGuardedByEventsKeepsEveryStep) {
  constexpr int kSteps = 60;
  const DeviceBuffer results = Value(device_->Allocate(kSteps * kBytes));
  const DeviceBuffer host = Value(device_->AllocatePinned(kSteps * kBytes));
  DeviceBuffer blocks[3];
  std::unique_ptr<DeviceEvent> copied[3];
  for (int i = 0; i < 3; ++i) {
    blocks[i] = Value(device_->AllocatePinned(kBytes));
    copied[i] = Value(device_->NewEvent());
  }
  for (int step = 0; step < kSteps; ++step) {
    ASSERT_TRUE(Ok(copied[step % 3]->Wait()));
    uint32_t* const block = blocks[step % 3].As<uint32_t>();
    for (int32_t i = 0; i < kCount; ++i) block[i] = static_cast<uint32_t>(7 * step + i);
    ASSERT_TRUE(Ok(one_->CopyToDevice(x_.data(), block, kBytes)));
    ASSERT_TRUE(Ok(one_->Record(copied[step % 3].get())));
    ASSERT_TRUE(Ok(Scramble(one_.get(), x_, y_, 40)));
    ASSERT_TRUE(Ok(one_->CopyOnDevice(results.data() + step * kBytes, y_.data(), kBytes)));
  }
  ASSERT_TRUE(Ok(one_->CopyToHost(host.data(), results.data(), kSteps * kBytes)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  for (int step = 0; step < kSteps; ++step) {
    for (int32_t i = 0; i < kCount; ++i) {
      ASSERT_EQ(host.As<uint32_t>()[step * kCount + i],
                Scrambled(static_cast<uint32_t>(7 * step + i), 40))
          << "step " << step << ", number " << i;
    }
  }
}

TEST_P(DeviceContractTest, GraphForksJoinsAndReadsPinnedMemoryAtEachReplay) {
  const auto graph = CaptureForkAndJoin();
  for (uint32_t value = 1; value <= 20; ++value) {
    SetIn(1000 * value);
    std::fill_n(out_.As<uint32_t>(), kCount, 0u);
    ASSERT_TRUE(Ok(one_->Replay(graph.get())));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    ASSERT_TRUE(OutIs(1000 * value, 5)) << value;
  }
  EXPECT_EQ(device_->counters().graph_replays, 20);
  EXPECT_EQ(device_->counters().launches, 3);
}

TEST_P(DeviceContractTest, ReplaysFollowEachOtherOnTwoStreams) {
  const auto graph = CaptureForkAndJoin();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Ok(one_->Replay(graph.get())));
    ASSERT_TRUE(Ok(two_->Replay(graph.get())));
  }
  ASSERT_TRUE(Ok(one_->Synchronize()));
  ASSERT_TRUE(Ok(two_->Synchronize()));
  EXPECT_TRUE(OutIs(1, 5));
}

TEST_P(DeviceContractTest, LaunchParametersAreCopiedAtTheCall) {
  ScrambleParams params{x_.As<uint32_t>(), y_.As<uint32_t>(), kCount, 3};
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(one_->Launch(kTestScramble, 2, 0, params)));
  params = {nullptr, nullptr, 0, 0};
  ASSERT_TRUE(Ok(Download(one_.get(), y_)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_TRUE(OutIs(1, 3));
  params = {y_.As<uint32_t>(), y_.As<uint32_t>(), kCount, 4};
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(one_->Launch(kTestScramble, 2, 0, params)));
  const auto graph = Value(one_->EndCapture());
  params = {nullptr, nullptr, 0, 0};
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Ok(one_->Replay(graph.get())));
  ASSERT_TRUE(Ok(Download(one_.get(), y_)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_TRUE(OutIs(1, 11));
}

TEST_P(DeviceContractTest, WhatCaptureForbidsIsRefusedAndTheDeviceGoesOn) {
  const std::vector<std::function<absl::Status()>> forbidden = {
      [&] { return device_->Allocate(8).status(); },  [&] { return one_->Synchronize(); },
      [&] { return one_->BeginCapture(); },           [&] { return one_->CopyManyToDevice({}); },
      [&] { return one_->Wait(other_event_.get()); },  // recorded before the capture
  };
  for (size_t i = 0; i < forbidden.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_TRUE(Ok(one_->Record(other_event_.get())));
    ASSERT_TRUE(Ok(one_->BeginCapture()));
    ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
    EXPECT_TRUE(IsRefused(forbidden[i]()));
    one_->EndCapture().status().IgnoreError();  // some break the capture, on some devices
    ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
    ASSERT_TRUE(Ok(Download(one_.get(), x_)));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    EXPECT_TRUE(OutIs(1, 0));
  }
  EXPECT_TRUE(IsRefused(one_->EndCapture().status()));
}

TEST_P(DeviceContractTest, StreamThatIsNotJoinedEndsTheCaptureWithoutGraph) {
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(Order(one_.get(), two_.get(), event_.get())));
  ASSERT_TRUE(Ok(Scramble(two_.get(), x_, y_, 1)));
  EXPECT_TRUE(IsRefused(one_->EndCapture().status()));
  ASSERT_TRUE(Ok(Upload(two_.get(), x_)));
  ASSERT_TRUE(Ok(Download(two_.get(), x_)));
  ASSERT_TRUE(Ok(two_->Synchronize()));
  EXPECT_TRUE(OutIs(1, 0));
}

TEST_P(DeviceContractTest, SharedMemoryPastTheDefaultIsPreparedFirst) {
  const int32_t most = device_->info().max_block_shared_bytes / 512 * 512;
  const DeviceBuffer sums = Value(device_->Allocate(2 * kTestThreads * 4));
  const DeviceBuffer host = Value(device_->AllocatePinned(sums.bytes()));
  EXPECT_TRUE(IsRefused(
      one_->Launch(kTestSharedSum, 2, most, SharedSumParams{sums.As<uint32_t>(), 2, most / 4})));
  EXPECT_TRUE(IsRefused(device_->Prepare(kTestSharedSum, most + 1024)));
  ASSERT_TRUE(Ok(device_->Prepare(kTestSharedSum, most)));
  ASSERT_TRUE(Ok(device_->Prepare(kTestSharedSum, 1024)));  // takes nothing back
  for (const int32_t shared_bytes : {kTestThreads * 4, Device::kUnpreparedSharedBytes, most}) {
    const SharedSumParams params{sums.As<uint32_t>(), 2, shared_bytes / 4};
    ASSERT_TRUE(Ok(one_->Launch(kTestSharedSum, 2, shared_bytes, params)));
    ASSERT_TRUE(Ok(one_->CopyToHost(host.data(), sums.data(), sums.bytes())));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    for (int i = 0; i < 2 * kTestThreads; ++i) {
      ASSERT_EQ(host.As<uint32_t>()[i], SharedSum(params, i / kTestThreads, i % kTestThreads))
          << shared_bytes << " bytes, thread " << i;
    }
  }
  device_->Seal();
  EXPECT_TRUE(IsRefused(device_->Prepare(kTestSharedSum, 512)));
}

TEST_P(DeviceContractTest, ClustersOfBlocksShareTheirMemoryWhereTheGpuHasThem) {
  constexpr int kBlocks = 3 * kTestClusterBlocks;
  const DeviceBuffer sums = Value(device_->Allocate(kBlocks * kTestThreads * 4));
  const DeviceBuffer host = Value(device_->AllocatePinned(sums.bytes()));
  const ClusterSumParams params{sums.As<float>(), kBlocks};
  const auto launch = [&] {
    return one_->Launch(kTestClusterSum, kBlocks, kTestClusterShared, params);
  };
  if (device_->info().compute_capability < 90) {
    EXPECT_TRUE(IsRefused(device_->Prepare(kTestClusterSum, kTestClusterShared)));
    EXPECT_TRUE(IsRefused(device_->ResidentBlocks(kTestClusterSum, kTestClusterShared).status()));
    EXPECT_TRUE(IsRefused(launch()));
    return;
  }
  ASSERT_TRUE(Ok(device_->Prepare(kTestClusterSum, kTestClusterShared)));
  const int32_t resident = Value(device_->ResidentBlocks(kTestClusterSum, kTestClusterShared));
  EXPECT_GE(resident, kTestClusterBlocks);
  EXPECT_EQ(resident % kTestClusterBlocks, 0);
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(launch()));
  const auto graph = Value(one_->EndCapture());
  for (const bool replayed : {false, true}) {
    ASSERT_TRUE(Ok(one_->Fill(sums.data(), 0xff, sums.bytes())));
    ASSERT_TRUE(Ok(replayed ? one_->Replay(graph.get()) : launch()));
    ASSERT_TRUE(Ok(one_->CopyToHost(host.data(), sums.data(), sums.bytes())));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    for (int i = 0; i < kBlocks * kTestThreads; ++i) {
      ASSERT_EQ(host.As<float>()[i], ClusterSum(i / kTestThreads, i % kTestThreads))
          << (replayed ? "replayed, " : "") << "thread " << i;
    }
  }
}

TEST_P(DeviceContractTest, ResidentBlocksFillTheDevice) {
  ASSERT_TRUE(Ok(device_->Prepare(kTestSharedSum, kTestThreads * 4)));
  EXPECT_GE(Value(device_->ResidentBlocks(kTestSharedSum, kTestThreads * 4)),
            device_->info().multiprocessors);
}

TEST_P(DeviceContractTest, KernelOfNoKnownCompilerIsRefused) {
  const Kernel foreign = {"kForeign", 32, 1, sizeof(int32_t), nullptr, nullptr};
  EXPECT_TRUE(IsRefused(device_->Prepare(foreign, 0)));
  const absl::Status status = one_->Launch(foreign, 1, 0, int32_t{0});
  EXPECT_TRUE(IsRefused(status));
  EXPECT_TRUE(absl::StrContains(status.message(), "kForeign")) << status;
}

TEST_P(DeviceContractTest, CountersSeeWhatIsTakenAndGivenBackAfterSeal) {
  device_->Seal();
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(Scramble(one_.get(), x_, y_, 1)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_EQ(device_->counters().allocations_after_seal, 0);
  EXPECT_EQ(device_->counters().launches, 1);
  {
    const DeviceBuffer memory = Value(device_->Allocate(8));
    const DeviceBuffer pinned = Value(device_->AllocatePinned(8));
    const auto stream = Value(device_->NewStream(Device::Priority::kNormal));
    const auto graph = CaptureForkAndJoin();
    EXPECT_EQ(device_->counters().allocations_after_seal, 4);
  }
  EXPECT_EQ(device_->counters().allocations_after_seal, 8);
}

TEST_P(DeviceContractTest, TooMuchMemoryIsAStatusAndTheDeviceGoesOn) {
  const int64_t needed = 2 * device_->info().total_bytes;
  const absl::Status status = device_->Allocate(needed).status();
  EXPECT_TRUE(Is(absl::StatusCode::kResourceExhausted, status));
  EXPECT_TRUE(absl::StrContains(status.message(), std::to_string(needed))) << status;
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  EXPECT_TRUE(Ok(one_->Synchronize()));
}

TEST_P(DeviceContractTest, FreedMemoryIsFreeAgain) {
  constexpr int64_t kMuch = int64_t{64} << 20;
  const int64_t before = Value(device_->FreeBytes());
  DeviceBuffer buffer = Value(device_->Allocate(kMuch));
  EXPECT_LE(Value(device_->FreeBytes()), before - kMuch);
  buffer = {};
  EXPECT_GT(Value(device_->FreeBytes()), before - kMuch / 2);
}

TEST_P(DeviceContractTest, TimerMeasuresTheStream) {
  const auto timer = Value(device_->NewTimer());
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(Scramble(one_.get(), x_, y_, GetParam().slow_rounds)));  // clocks up, code there
  double elapsed_us[2];
  for (const int launches : {1, 8}) {
    ASSERT_TRUE(Ok(timer->Start(one_.get())));
    for (int i = 0; i < launches; ++i) {
      ASSERT_TRUE(Ok(Scramble(one_.get(), x_, y_, GetParam().slow_rounds)));
    }
    ASSERT_TRUE(Ok(timer->Stop(one_.get())));
    elapsed_us[launches / 8] = Value(timer->ElapsedUs());
  }
  EXPECT_GT(elapsed_us[0], 0);
  EXPECT_GT(elapsed_us[1], 4 * elapsed_us[0]);
  EXPECT_LT(elapsed_us[1], 16 * elapsed_us[0]);
}

TEST_P(DeviceContractTest, AnotherThreadHasItsOwnStream) {
  ASSERT_TRUE(Ok(Upload(one_.get(), x_)));
  ASSERT_TRUE(Ok(one_->Record(event_.get())));
  absl::Status status;
  std::thread([&] {
    const auto stream = Value(device_->NewStream(Device::Priority::kNormal));
    const DeviceBuffer memory = Value(device_->Allocate(kBytes));
    status.Update(stream->Wait(event_.get()));
    status.Update(Scramble(stream.get(), x_, memory, 6));
    status.Update(Download(stream.get(), memory));
    status.Update(stream->Synchronize());
  }).join();
  EXPECT_TRUE(Ok(status));
  EXPECT_TRUE(OutIs(1, 6));
}

}  // namespace
}  // namespace chorus::kernels
