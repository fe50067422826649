// Graphs of SimDevice: what capture records, what it refuses, and how replays run.
#include <thread>

#include "gtest/gtest.h"
#include "tests/simt/sim_fixture.h"

namespace chorus::kernels {
namespace {

class SimCaptureTest : public testing::TestWithParam<SimOptions> {
 protected:
  // Captures in → x → (y on one, z on two) → y → out.
  std::unique_ptr<DeviceGraph> CaptureForkAndJoin() {
    EXPECT_TRUE(Ok(one_->BeginCapture()));
    EXPECT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
    EXPECT_TRUE(Ok(bench_.Order(one_, two_, bench_.event.get())));
    EXPECT_TRUE(Ok(bench_.Scramble(one_, bench_.x, bench_.y)));
    EXPECT_TRUE(Ok(bench_.Scramble(two_, bench_.x, bench_.z)));
    EXPECT_TRUE(Ok(bench_.Order(two_, one_, bench_.other_event.get())));
    EXPECT_TRUE(Ok(bench_.Scramble(one_, bench_.z, bench_.y)));
    EXPECT_TRUE(Ok(bench_.Download(one_, bench_.y)));
    return Value(one_->EndCapture());
  }

  SimBench bench_{GetParam()};
  DeviceStream* const one_ = bench_.one.get();
  DeviceStream* const two_ = bench_.two.get();
};
INSTANTIATE_TEST_SUITE_P(Sim, SimCaptureTest, testing::ValuesIn(EverySimOrder()),
                         [](const auto& info) {
                           return absl::StrCat(Name(info.param.order), info.param.seed);
                         });

TEST_P(SimCaptureTest, ReplaysReadPinnedMemoryAnewAndCaptureRunsNothing) {
  const auto graph = CaptureForkAndJoin();
  ASSERT_TRUE(Ok(bench_.device.Finish()));
  EXPECT_EQ(bench_.out.As<uint32_t>()[0], ~0u);  // still poison: nothing ran
  for (uint32_t value = 1; value <= 5; ++value) {
    bench_.SetIn(100 * value);
    ASSERT_TRUE(Ok(one_->Replay(graph.get())));
    ASSERT_TRUE(Ok(one_->Synchronize()));
    EXPECT_TRUE(bench_.OutIs(100 * value, 2)) << value;
  }
  EXPECT_EQ(bench_.device.counters().launches, 3);  // once, though captured and replayed
  EXPECT_EQ(bench_.device.counters().graph_replays, 5);
}

TEST_P(SimCaptureTest, LaunchParametersAreThoseOfTheCapture) {
  ScrambleParams params{bench_.x.As<uint32_t>(), bench_.y.As<uint32_t>(), SimBench::kCount, 3};
  ASSERT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(one_->Launch(kTestScramble, 2, 0, params)));
  const auto graph = Value(one_->EndCapture());
  params = {nullptr, nullptr, 1 << 20, 77};
  ASSERT_TRUE(Ok(one_->Replay(graph.get())));
  ASSERT_TRUE(Ok(bench_.Download(one_, bench_.y)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_TRUE(bench_.OutIs(0, 3));
}

TEST_P(SimCaptureTest, PinnedSourceChangedBeforeTheReplayRanIsFound) {
  const auto graph = CaptureForkAndJoin();
  absl::Status status = one_->Replay(graph.get());
  bench_.SetIn(50);
  status.Update(bench_.device.Finish());
  if (GetParam().order == SimOrder::kLazy || GetParam().order == SimOrder::kTimed) {
    EXPECT_TRUE(IsViolation(status, "changed the pinned source"));
  } else if (status.ok()) {
    EXPECT_TRUE(bench_.OutIs(0, 2));  // the copy had run
  }
}

TEST_P(SimCaptureTest, ReplaysOfOneGraphFollowEachOtherOnAnyStream) {
  const auto graph = CaptureForkAndJoin();
  const auto three = Value(bench_.device.NewStream(Device::Priority::kNormal));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(Ok(one_->Replay(graph.get())));
    ASSERT_TRUE(Ok(three->Replay(graph.get())));
  }
  ASSERT_TRUE(Ok(three->Synchronize()));
  EXPECT_TRUE(bench_.OutIs(0, 2));
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST_P(SimCaptureTest, BranchesThatConflictAreFoundAtReplay) {
  ASSERT_TRUE(Ok(one_->BeginCapture()));
  ASSERT_TRUE(Ok(bench_.Order(one_, two_, bench_.event.get())));
  ASSERT_TRUE(Ok(bench_.Scramble(one_, bench_.x, bench_.y)));
  ASSERT_TRUE(Ok(bench_.Scramble(two_, bench_.y, bench_.z)));
  ASSERT_TRUE(Ok(bench_.Order(two_, one_, bench_.other_event.get())));
  const auto graph = Value(one_->EndCapture());
  absl::Status status = one_->Replay(graph.get());
  status.Update(bench_.device.Finish());
  EXPECT_TRUE(IsViolation(status, "no event orders it"));
}

TEST_P(SimCaptureTest, WorkAfterAReplayComesAfterAllItsBranches) {
  const auto graph = CaptureForkAndJoin();
  ASSERT_TRUE(Ok(one_->Replay(graph.get())));
  ASSERT_TRUE(Ok(one_->Record(bench_.event.get())));
  ASSERT_TRUE(Ok(two_->Wait(bench_.event.get())));
  ASSERT_TRUE(Ok(two_->Fill(bench_.z.data(), 0, 4)));  // the other branch wrote it
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST_P(SimCaptureTest, GraphThatIsGoneStillRunsWhatWasReplayed) {
  ASSERT_TRUE(Ok(one_->Replay(CaptureForkAndJoin().get())));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  EXPECT_TRUE(bench_.OutIs(0, 2));
}

struct Refusal {
  const char* part;  // of the message
  std::function<absl::Status(SimBench&, DeviceGraph*)> call;
};

TEST(SimRefusalTest, WhatCaptureForbidsIsRefusedAndBreaksIt) {
  const std::vector<Refusal> cases = {
      {"an allocation", [](SimBench& b, DeviceGraph*) { return b.device.Allocate(8).status(); }},
      {"an allocation",
       [](SimBench& b, DeviceGraph*) { return b.device.AllocatePinned(8).status(); }},
      {"FreeBytes", [](SimBench& b, DeviceGraph*) { return b.device.FreeBytes().status(); }},
      {"NewStream",
       [](SimBench& b, DeviceGraph*) {
         return b.device.NewStream(Device::Priority::kNormal).status();
       }},
      {"NewEvent", [](SimBench& b, DeviceGraph*) { return b.device.NewEvent().status(); }},
      {"NewTimer", [](SimBench& b, DeviceGraph*) { return b.device.NewTimer().status(); }},
      {"Prepare", [](SimBench& b, DeviceGraph*) { return b.device.Prepare(kTestScramble, 0); }},
      {"Synchronize", [](SimBench& b, DeviceGraph*) { return b.one->Synchronize(); }},
      {"Synchronize", [](SimBench& b, DeviceGraph*) { return b.two->Synchronize(); }},
      {"DeviceEvent::Done", [](SimBench& b, DeviceGraph*) { return b.event->Done().status(); }},
      {"DeviceEvent::Wait", [](SimBench& b, DeviceGraph*) { return b.event->Wait(); }},
      {"BeginCapture", [](SimBench& b, DeviceGraph*) { return b.two->BeginCapture(); }},
      {"Replay", [](SimBench& b, DeviceGraph* graph) { return b.one->Replay(graph); }},
      {"Finish", [](SimBench& b, DeviceGraph*) { return b.device.Finish(); }},
      {"waits for no event of the capture",
       [](SimBench& b, DeviceGraph*) { return b.Upload(b.two.get(), b.x); }},
      {"waits for no event of the capture",
       [](SimBench& b, DeviceGraph*) { return b.two->Record(b.event.get()); }},
      {"was not recorded in the capture",
       [](SimBench& b, DeviceGraph*) { return b.one->Wait(b.event.get()); }},
  };
  for (const Refusal& refusal : cases) {
    SCOPED_TRACE(refusal.part);
    SimBench bench({});
    ASSERT_TRUE(Ok(bench.one->BeginCapture()));
    const auto graph = Value(bench.one->EndCapture());
    ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
    ASSERT_TRUE(Ok(bench.one->BeginCapture()));
    EXPECT_TRUE(IsRefused(refusal.call(bench, graph.get()), refusal.part));
    EXPECT_TRUE(IsRefused(bench.one->EndCapture().status(), refusal.part));
    // The device itself goes on.
    ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
    EXPECT_TRUE(Ok(bench.device.Finish()));
  }
}

TEST(SimRefusalTest, MemoryFreedWhileCapturingIsAViolation) {
  SimBench bench({});
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  bench.z = {};
  EXPECT_TRUE(IsViolation(bench.one->EndCapture().status(), "freed while capturing"));
}

TEST(SimRefusalTest, StreamThatIsNotJoinedEndsTheCaptureWithoutGraph) {
  SimBench bench({});
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  ASSERT_TRUE(Ok(bench.Order(bench.one.get(), bench.two.get(), bench.event.get())));
  ASSERT_TRUE(Ok(bench.Scramble(bench.two.get(), bench.x, bench.y)));
  ASSERT_TRUE(Ok(bench.Order(bench.two.get(), bench.one.get(), bench.other_event.get())));
  ASSERT_TRUE(Ok(bench.Scramble(bench.two.get(), bench.x, bench.y)));  // after the join
  EXPECT_TRUE(IsRefused(bench.one->EndCapture().status(), "does not wait for the end"));
  EXPECT_TRUE(Ok(bench.Upload(bench.two.get(), bench.x)));  // no longer captured
  EXPECT_TRUE(Ok(bench.device.Finish()));
}

TEST(SimRefusalTest, CapturedEventMeansNothingUntilItIsRecordedAgain) {
  SimBench bench({});
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
  const auto graph = Value(bench.one->EndCapture());
  EXPECT_TRUE(IsRefused(bench.event->Wait(), "while capturing"));
  EXPECT_TRUE(IsRefused(bench.event->Done().status(), "while capturing"));
  EXPECT_TRUE(IsRefused(bench.two->Wait(bench.event.get()), "while capturing"));
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  EXPECT_TRUE(IsRefused(bench.two->Wait(bench.event.get()), "was not recorded in the capture"));
  EXPECT_FALSE(bench.one->EndCapture().ok());
  ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
  EXPECT_TRUE(Ok(bench.event->Wait()));
}

TEST(SimRefusalTest, EndCaptureBelongsToTheStreamThatBegan) {
  SimBench bench({});
  EXPECT_TRUE(IsRefused(bench.one->EndCapture().status(), "no capture was begun"));
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  EXPECT_TRUE(IsRefused(bench.two->EndCapture().status(), "no capture was begun"));
  EXPECT_TRUE(bench.one->EndCapture().ok());
}

TEST(SimRefusalTest, OtherThreadsGoOnWhileOneCaptures) {
  SimBench bench({});
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  std::thread([&] {
    EXPECT_TRUE(Ok(bench.two->Fill(bench.z.data(), 0, 4)));
    EXPECT_TRUE(Ok(bench.two->Synchronize()));
    EXPECT_TRUE(IsRefused(bench.two->BeginCapture(), "another thread"));
  }).join();
  EXPECT_TRUE(bench.one->EndCapture().ok());
  EXPECT_TRUE(Ok(bench.device.Finish()));
}

}  // namespace
}  // namespace chorus::kernels
