// What SimDevice must find, whatever the order: each case is wrong in one way, and is found in
// every order, eager ones included, where the numbers come out right.
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_fixture.h"

namespace chorus::kernels {
namespace {

class SimViolationTest : public testing::TestWithParam<SimOptions> {
 protected:
  SimBench bench_{GetParam()};
  DeviceStream* const one_ = bench_.one.get();
  DeviceStream* const two_ = bench_.two.get();
};
INSTANTIATE_TEST_SUITE_P(Sim, SimViolationTest, testing::ValuesIn(EverySimOrder()),
                         [](const auto& info) {
                           return absl::StrCat(Name(info.param.order), info.param.seed);
                         });

TEST_P(SimViolationTest, LaunchReadsWhatAnotherStreamCopiesWithoutEvent) {
  absl::Status status = bench_.Upload(one_, bench_.x);
  status.Update(bench_.Scramble(two_, bench_.x, bench_.y));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "no event orders it"));
  EXPECT_THAT(std::string(status.message()), testing::AllOf(testing::HasSubstr("kTestScramble"),
                                                            testing::HasSubstr("CopyToDevice")));
}

TEST_P(SimViolationTest, CopyOverwritesWhatAnotherStreamsLaunchReads) {
  ASSERT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
  ASSERT_TRUE(Ok(bench_.Order(one_, two_, bench_.event.get())));
  absl::Status status = bench_.Scramble(two_, bench_.x, bench_.y);
  status.Update(bench_.Upload(one_, bench_.x));  // nothing says that the launch is over
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "no event orders it"));
}

TEST_P(SimViolationTest, TwoStreamsWriteOneByte) {
  absl::Status status = one_->Fill(bench_.x.data(), 1, 101);
  status.Update(two_->Fill(bench_.x.data() + 100, 2, 100));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "byte 100 of device memory"));
}

TEST_P(SimViolationTest, NeighbouringBytesOfTwoStreamsAreFine) {
  ASSERT_TRUE(Ok(one_->Fill(bench_.x.data(), 1, 101)));
  ASSERT_TRUE(Ok(two_->Fill(bench_.x.data() + 101, 2, 99)));
  // Of one buffer, one stream's launch reads and writes what the other's does not.
  ASSERT_TRUE(
      Ok(one_->Launch(kTestScramble, 1, 0,
                      ScrambleParams{bench_.x.As<uint32_t>(), bench_.x.As<uint32_t>(), 25, 1})));
  ASSERT_TRUE(Ok(two_->Launch(
      kTestScramble, 1, 0,
      ScrambleParams{bench_.x.As<uint32_t>() + 26, bench_.x.As<uint32_t>() + 26, 20, 1})));
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST_P(SimViolationTest, TwoStreamsMayReadOneByte) {
  ASSERT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
  ASSERT_TRUE(Ok(bench_.Order(one_, two_, bench_.event.get())));
  ASSERT_TRUE(Ok(bench_.Scramble(one_, bench_.x, bench_.y)));
  ASSERT_TRUE(Ok(bench_.Scramble(two_, bench_.x, bench_.z)));
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST_P(SimViolationTest, EventRecordedTooEarlyOrdersNothing) {
  ASSERT_TRUE(Ok(one_->Record(bench_.event.get())));
  absl::Status status = bench_.Upload(one_, bench_.x);
  status.Update(two_->Wait(bench_.event.get()));
  status.Update(bench_.Scramble(two_, bench_.x, bench_.y));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "no event orders it"));
}

TEST_P(SimViolationTest, HostWaitOrdersWhatIsEnqueuedAfterItOnly) {
  ASSERT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
  ASSERT_TRUE(Ok(one_->Record(bench_.event.get())));
  ASSERT_TRUE(Ok(bench_.event->Wait()));
  ASSERT_TRUE(Ok(bench_.Scramble(two_, bench_.x, bench_.y)));  // fine: the host knew
  absl::Status status = bench_.Scramble(two_, bench_.y, bench_.z);
  status.Update(one_->Synchronize());  // of the wrong stream
  status.Update(bench_.Download(one_, bench_.z));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "no event orders it"));
}

TEST_P(SimViolationTest, PinnedMemoryOfTwoStreamsIsOrderedToo) {
  ASSERT_TRUE(Ok(one_->Fill(bench_.x.data(), 1, 8)));
  ASSERT_TRUE(Ok(bench_.Order(one_, two_, bench_.event.get())));
  absl::Status status = one_->CopyToHost(bench_.out.data(), bench_.x.data(), 8);
  status.Update(two_->CopyToDevice(bench_.y.data(), bench_.out.data(), 8));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "pinned memory"));
}

TEST_P(SimViolationTest, ResultReadBeforeItIsThereIsPoison) {
  ASSERT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
  ASSERT_TRUE(Ok(bench_.Download(one_, bench_.x)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  ASSERT_TRUE(bench_.OutIs(0, 0));
  ASSERT_TRUE(Ok(bench_.Download(one_, bench_.x)));
  const uint32_t early = bench_.out.As<uint32_t>()[1];
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_EQ(bench_.out.As<uint32_t>()[1], 1u);
  if (GetParam().order == SimOrder::kLazy || GetParam().order == SimOrder::kTimed) {
    EXPECT_EQ(early, ~0u);
  }
}

TEST_P(SimViolationTest, MemoryFreedBeforeTheHostKnowsOfItsEnd) {
  {
    const DeviceBuffer buffer = Value(bench_.device.Allocate(64));
    ASSERT_TRUE(Ok(one_->Fill(buffer.data(), 0, 64)));
  }
  const absl::Status status = bench_.device.Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "freed")) << status;
}

TEST_P(SimViolationTest, PinnedMemoryFreedUnderAQueuedCopy) {
  {
    const DeviceBuffer buffer = Value(bench_.device.AllocatePinned(64));
    ASSERT_TRUE(Ok(one_->CopyToDevice(bench_.x.data(), buffer.data(), 64)));
  }
  EXPECT_TRUE(IsViolation(bench_.device.Finish(), "pinned memory was freed"));
}

TEST_P(SimViolationTest, MemoryFreedWhenTheHostKnowsIsFine) {
  {
    const DeviceBuffer buffer = Value(bench_.device.Allocate(64));
    const DeviceBuffer pinned = Value(bench_.device.AllocatePinned(64));
    ASSERT_TRUE(Ok(one_->CopyToDevice(buffer.data(), pinned.data(), 64)));
    ASSERT_TRUE(Ok(one_->Record(bench_.event.get())));
    ASSERT_TRUE(Ok(bench_.event->Wait()));
  }
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST_P(SimViolationTest, FreedMemoryIsUsed) {
  DeviceBuffer buffer = Value(bench_.device.Allocate(SimBench::kBytes));
  auto* const dangling = buffer.As<uint32_t>();
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(one_->Fill(dangling, 0, 4)));
  const auto graph = Value(one_->EndCapture());
  buffer = {};
  absl::Status status = one_->Replay(graph.get());
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "freed"));
}

TEST_P(SimViolationTest, LaunchUsesFreedMemory) {
  DeviceBuffer buffer = Value(bench_.device.Allocate(SimBench::kBytes));
  auto* const dangling = buffer.As<uint32_t>();
  buffer = {};
  absl::Status status =
      one_->Launch(kTestScramble, 1, 0, ScrambleParams{dangling, bench_.y.As<uint32_t>(), 8, 1});
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "kTestScramble"));
}

TEST_P(SimViolationTest, LaunchGoesPastItsBuffer) {
  absl::Status status = one_->Launch(
      kTestScramble, 1, 0,
      ScrambleParams{bench_.x.As<uint32_t>(), bench_.y.As<uint32_t>(), SimBench::kCount + 1, 1});
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "kTestScramble"));
}

TEST_P(SimViolationTest, ReplayAndAnotherStreamUseOneBufferUnordered) {
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(bench_.Scramble(one_, bench_.x, bench_.y)));
  const auto graph = Value(one_->EndCapture());
  absl::Status status = two_->Fill(bench_.x.data(), 0, 4);
  status.Update(one_->Replay(graph.get()));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "no event orders it"));
}

TEST_P(SimViolationTest, HostOpUsesAreChecked) {
  absl::Status status = bench_.Upload(one_, bench_.x);
  status.Update(bench_.device.Enqueue(
      two_, {.name = "MatMul", .reads = {{bench_.x.data() + 40, 4}}, .run = [] {}}));
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "MatMul"));
}

using Wrong = std::function<absl::Status(SimBench&)>;

TEST(SimCopyTest, PointersThatAreNotTheDevicesAreFoundAtOnce) {
  static uint32_t local[SimBench::kCount];
  const std::vector<std::pair<const char*, Wrong>> cases = {
      {"source lies in no buffer",
       [](SimBench& b) { return b.one->CopyToDevice(b.x.data(), local, 4); }},
      {"destination lies in no buffer",
       [](SimBench& b) { return b.one->CopyToHost(local, b.x.data(), 4); }},
      {"want device memory",
       [](SimBench& b) { return b.one->CopyToDevice(b.out.data(), b.in.data(), 4); }},
      {"want pinned memory",
       [](SimBench& b) { return b.one->CopyToDevice(b.x.data(), b.y.data(), 4); }},
      {"want device memory",
       [](SimBench& b) { return b.one->CopyOnDevice(b.x.data(), b.in.data(), 4); }},
      {"want device memory", [](SimBench& b) { return b.one->Fill(b.in.data(), 0, 4); }},
      {"bytes 796 to 801 of a buffer of 800",
       [](SimBench& b) { return b.one->Fill(b.x.data() + 796, 0, 5); }},
      {"lies in no buffer", [](SimBench& b) { return b.one->Fill(b.x.data() + 800, 0, 1); }},
      {"was freed",
       [](SimBench& b) {
         std::byte* const data = b.z.data();
         b.z = {};
         return b.one->Fill(data, 0, 4);
       }},
      {"want device memory",
       [](SimBench& b) {
         return b.device.Enqueue(b.one.get(),
                                 {.name = "Op", .writes = {{b.in.data(), 4}}, .run = [] {}});
       }},
  };
  for (const auto& [part, wrong] : cases) {
    SimBench bench({.order = SimOrder::kLazy});
    EXPECT_TRUE(IsViolation(wrong(bench), part));
  }
}

TEST(SimStickyTest, EveryCallAfterAViolationReturnsIt) {
  SimBench bench({});
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  const auto graph = Value(bench.one->EndCapture());
  const auto timer = Value(bench.device.NewTimer());
  const absl::Status first = bench.one->Fill(nullptr, 0, 1);
  ASSERT_TRUE(IsViolation(first, "no buffer"));
  EXPECT_EQ(bench.one->Fill(bench.x.data(), 0, 1), first);
  EXPECT_EQ(bench.Upload(bench.one.get(), bench.x), first);
  EXPECT_EQ(bench.Download(bench.one.get(), bench.x), first);
  EXPECT_EQ(bench.Scramble(bench.one.get(), bench.x, bench.y), first);
  EXPECT_EQ(bench.one->Record(bench.event.get()), first);
  EXPECT_EQ(bench.one->Wait(bench.event.get()), first);
  EXPECT_EQ(bench.one->Synchronize(), first);
  EXPECT_EQ(bench.one->BeginCapture(), first);
  EXPECT_EQ(bench.one->EndCapture().status(), first);
  EXPECT_EQ(bench.one->Replay(graph.get()), first);
  EXPECT_EQ(bench.event->Done().status(), first);
  EXPECT_EQ(bench.event->Wait(), first);
  EXPECT_EQ(timer->Start(bench.one.get()), first);
  EXPECT_EQ(timer->ElapsedUs().status(), first);
  EXPECT_EQ(bench.device.Allocate(1).status(), first);
  EXPECT_EQ(bench.device.AllocatePinned(1).status(), first);
  EXPECT_EQ(bench.device.FreeBytes().status(), first);
  EXPECT_EQ(bench.device.NewStream(Device::Priority::kNormal).status(), first);
  EXPECT_EQ(bench.device.NewEvent().status(), first);
  EXPECT_EQ(bench.device.Prepare(kTestScramble, 0), first);
  EXPECT_EQ(bench.device.Finish(), first);
}

}  // namespace
}  // namespace chorus::kernels
