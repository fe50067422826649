// What SimDevice must find of launches that begin early, and what it must let pass: in every order,
// since launches of a stream run one after the other here.
#include "gtest/gtest.h"
#include "tests/simt/sim_fixture.h"

namespace chorus::kernels {
namespace {

class SimEarlyTest : public testing::TestWithParam<SimOptions> {
 protected:
  // z → x by a kernel that is not early, then from `x` to y with `salt`, early.
  absl::Status ScrambleThenEarly(const DeviceBuffer& salt, EarlyFault fault) {
    absl::Status status = bench_.Scramble(one_, bench_.z, bench_.x);
    status.Update(Early(bench_.x, bench_.y, salt, fault));
    return status;
  }
  absl::Status Early(const DeviceBuffer& from, const DeviceBuffer& to, const DeviceBuffer& salt,
                     EarlyFault fault = EarlyFault::kNone) {
    return one_->Launch(kTestEarly, DivideUp(SimBench::kCount, kTestThreads), 0,
                        EarlyParams{.salt = salt.As<uint32_t>(),
                                    .x = from.As<uint32_t>(),
                                    .y = to.As<uint32_t>(),
                                    .count = SimBench::kCount,
                                    .fault = fault},
                        LaunchBegin::kEarly);
  }
  absl::Status Finished(absl::Status status) {
    status.Update(bench_.device.Finish());
    return status;
  }

  SimBench bench_{GetParam()};
  DeviceStream* const one_ = bench_.one.get();
  DeviceBuffer salt_ = Value(bench_.device.Allocate(SimBench::kBytes));
};
INSTANTIATE_TEST_SUITE_P(Sim, SimEarlyTest, testing::ValuesIn(EverySimOrder()),
                         [](const auto& info) {
                           return absl::StrCat(Name(info.param.order), info.param.seed);
                         });

TEST_P(SimEarlyTest, WhatLiesFurtherBackMayBeReadAtOnce) {
  ASSERT_TRUE(Ok(bench_.Upload(one_, salt_)));
  ASSERT_TRUE(Ok(ScrambleThenEarly(salt_, EarlyFault::kNone)));
  // By the second, the first is done: the salt may be what the one before the first wrote.
  ASSERT_TRUE(Ok(Early(bench_.y, bench_.z, bench_.x)));
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST_P(SimEarlyTest, WhatTheLaunchBeforeWritesIsReadTooEarly) {
  EXPECT_TRUE(IsViolation(Finished(ScrambleThenEarly(salt_, EarlyFault::kReadsBeforeItWaits)),
                          "no event orders it"));
}

TEST_P(SimEarlyTest, TheSaltOfTheLaunchBeforeIsReadTooEarly) {
  EXPECT_TRUE(
      IsViolation(Finished(ScrambleThenEarly(bench_.x, EarlyFault::kNone)), "no event orders it"));
}

TEST_P(SimEarlyTest, AnEarlyLaunchIsALaunchBeforeToo) {
  ASSERT_TRUE(Ok(ScrambleThenEarly(salt_, EarlyFault::kNone)));
  EXPECT_TRUE(IsViolation(Finished(Early(bench_.y, bench_.z, bench_.y)), "kTestEarly"));
}

TEST_P(SimEarlyTest, WhatTheLaunchBeforeReadsIsWrittenTooEarly) {
  absl::Status status = bench_.Scramble(one_, bench_.y, bench_.x);
  status.Update(Early(bench_.x, bench_.y, salt_, EarlyFault::kWritesBeforeItWaits));
  EXPECT_TRUE(IsViolation(Finished(status), "no event orders it"));
}

TEST_P(SimEarlyTest, ThreadsThatDoNotWait) {
  EXPECT_TRUE(IsViolation(Finished(ScrambleThenEarly(salt_, EarlyFault::kDoesNotWait)),
                          "left the kernel without WaitForPrior"));
}

TEST_P(SimEarlyTest, TheNextIsLetBeginBeforeTheWait) {
  EXPECT_TRUE(IsViolation(Finished(ScrambleThenEarly(salt_, EarlyFault::kLetsNextBeginFirst)),
                          "before WaitForPrior"));
}

TEST_P(SimEarlyTest, InAGraphToo) {
  for (const EarlyFault fault : {EarlyFault::kNone, EarlyFault::kReadsBeforeItWaits}) {
    ASSERT_TRUE(Ok(one_->BeginCapture()));
    ASSERT_TRUE(Ok(ScrambleThenEarly(salt_, fault)));
    const auto graph = Value(one_->EndCapture());
    const absl::Status status = Finished(one_->Replay(graph.get()));
    if (fault == EarlyFault::kNone) {
      EXPECT_TRUE(Ok(status));
    } else {
      EXPECT_TRUE(IsViolation(status, "no event orders it"));
    }
  }
}

// After anything but a launch it begins when that is done, as any other.
TEST_P(SimEarlyTest, OnlyAfterALaunch) {
  const EarlyFault wrong = EarlyFault::kReadsBeforeItWaits;
  ASSERT_TRUE(Ok(bench_.Upload(one_, bench_.x)));
  ASSERT_TRUE(Ok(Early(bench_.x, bench_.y, salt_, wrong)));
  ASSERT_TRUE(Ok(bench_.Scramble(bench_.two.get(), bench_.z, bench_.z)));
  ASSERT_TRUE(Ok(bench_.Order(bench_.two.get(), one_, bench_.event.get())));
  ASSERT_TRUE(Ok(Early(bench_.y, bench_.x, salt_, wrong)));
  ASSERT_TRUE(Ok(one_->Synchronize()));
  ASSERT_TRUE(Ok(Early(bench_.x, bench_.y, salt_, wrong)));  // the host knows that it is over
  EXPECT_TRUE(Ok(bench_.device.Finish()));
}

TEST(SimOlderTest, NothingBeginsEarlyBelow90) {
  SimOptions older;
  older.info.compute_capability = 80;
  SimBench bench(older);
  ASSERT_TRUE(Ok(bench.Scramble(bench.one.get(), bench.z, bench.x)));
  ASSERT_TRUE(Ok(bench.one->Launch(kTestEarly, 1, 0,
                                   EarlyParams{.salt = bench.x.As<uint32_t>(),
                                               .x = bench.x.As<uint32_t>(),
                                               .y = bench.y.As<uint32_t>(),
                                               .count = kTestThreads,
                                               .fault = EarlyFault::kDoesNotWait},
                                   LaunchBegin::kEarly)));
  EXPECT_TRUE(Ok(bench.device.Finish()));
}

}  // namespace
}  // namespace chorus::kernels
