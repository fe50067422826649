// Virtual time: what takes how long, what runs beside what, and what a slow copy may hold up.
#include <algorithm>

#include "gtest/gtest.h"
#include "tests/simt/sim_fixture.h"

namespace chorus::kernels {
namespace {

// A launch takes 5 µs, a copy 2 µs and 1 µs for each 100 bytes: 10 µs for SimBench's buffers.
SimOptions Timed(double copy_slowness = 1) {
  return {.order = SimOrder::kTimed,
          .launch_us = 5,
          .copy_us = 2,
          .host_bytes_per_us = 100,
          .copy_slowness = copy_slowness};
}

TEST(SimTimeTest, WorkOfAStreamAddsUpAndTheHostWaitsForIt) {
  SimBench bench(Timed());
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
  EXPECT_EQ(bench.device.now_us(), 0);
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 15);
  bench.device.AdvanceHost(100);
  ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));  // not before it is enqueued
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 120);
}

TEST(SimTimeTest, StreamsRunBesideEachOtherAndEventsHoldThemUp) {
  SimBench bench(Timed());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
  ASSERT_TRUE(Ok(bench.Upload(bench.two.get(), bench.z)));
  ASSERT_TRUE(Ok(bench.two->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 10);
  ASSERT_TRUE(Ok(bench.Order(bench.one.get(), bench.two.get(), bench.event.get())));
  ASSERT_TRUE(Ok(bench.Scramble(bench.two.get(), bench.y, bench.z)));
  ASSERT_TRUE(Ok(bench.two->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 20);
}

TEST(SimTimeTest, CopiesOfOneDirectionFollowEachOther) {
  SimBench bench(Timed());
  const DeviceBuffer other = Value(bench.device.AllocatePinned(SimBench::kBytes));
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.two->CopyToDevice(bench.y.data(), other.data(), SimBench::kBytes)));
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  ASSERT_TRUE(Ok(bench.two->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 20);
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.Download(bench.two.get(), bench.y)));  // the other way: beside it
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  ASSERT_TRUE(Ok(bench.two->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 30);
}

TEST(SimTimeTest, EventAnswersByTheClock) {
  SimBench bench(Timed());
  ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
  ASSERT_TRUE(Ok(bench.one->Record(bench.event.get())));
  bench.device.AdvanceHost(8);
  EXPECT_FALSE(Value(bench.event->Done()));  // 9 µs: asking takes one
  EXPECT_TRUE(Value(bench.event->Done()));   // 10 µs
}

TEST(SimTimeTest, TimerSeesTheStreamNotTheHost) {
  for (const SimOptions& order : EverySimOrder()) {
    SCOPED_TRACE(Name(order));
    SimOptions options = Timed();
    options.order = order.order;
    options.seed = order.seed;
    SimBench bench(options);
    const auto timer = Value(bench.device.NewTimer());
    ASSERT_TRUE(Ok(bench.Upload(bench.one.get(), bench.x)));
    ASSERT_TRUE(Ok(timer->Start(bench.one.get())));
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
    ASSERT_TRUE(Ok(timer->Stop(bench.one.get())));
    EXPECT_DOUBLE_EQ(Value(timer->ElapsedUs()), 20);
  }
}

TEST(SimTimeTest, ReplayTakesTheTimeOfItsLongestPath) {
  SimBench bench(Timed());
  ASSERT_TRUE(Ok(bench.one->BeginCapture()));
  ASSERT_TRUE(Ok(bench.Order(bench.one.get(), bench.two.get(), bench.event.get())));
  ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Ok(bench.Scramble(bench.two.get(), bench.x, bench.z)));
  ASSERT_TRUE(Ok(bench.Order(bench.two.get(), bench.one.get(), bench.other_event.get())));
  const auto graph = Value(bench.one->EndCapture());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Ok(bench.one->Replay(graph.get())));
  ASSERT_TRUE(Ok(bench.one->Synchronize()));
  EXPECT_DOUBLE_EQ(bench.device.now_us(), 30);
}

// Steps on one stream while another copies an adapter in, in pieces: the longest time from one
// step's end to the next. `wait_for_it`: the steps' stream waits for the whole copy.
double LongestGap(double copy_slowness, bool wait_for_it) {
  SimBench bench(Timed(copy_slowness));
  for (int piece = 0; piece < 20; ++piece) {
    EXPECT_TRUE(Ok(bench.Upload(bench.two.get(), bench.z)));
  }
  if (wait_for_it) {
    EXPECT_TRUE(Ok(bench.Order(bench.two.get(), bench.one.get(), bench.other_event.get())));
  }
  double longest = 0;
  double last = 0;
  for (int step = 0; step < 50; ++step) {
    for (int launch = 0; launch < 4; ++launch) {
      EXPECT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.x, bench.y)));
    }
    EXPECT_TRUE(Ok(bench.one->Synchronize()));
    longest = std::max(longest, bench.device.now_us() - last);
    last = bench.device.now_us();
  }
  EXPECT_TRUE(Ok(bench.device.Finish()));
  return longest;
}

TEST(SimTimeTest, SlowCopiesHoldUpOnlyWhoWaitsForThem) {
  EXPECT_DOUBLE_EQ(LongestGap(1, false), 20);
  EXPECT_DOUBLE_EQ(LongestGap(20, false), 20);
  EXPECT_DOUBLE_EQ(LongestGap(1, true), 20 * 10 + 20);
  EXPECT_DOUBLE_EQ(LongestGap(20, true), 20 * (2 + 20 * 8) + 20);
}

}  // namespace
}  // namespace chorus::kernels
