// Adapters that are used while their last layers are still being copied.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/residency_harness.h"

namespace chorus::engine {
namespace {

using test::ResidencyHarness;
using Resident = Residency::Resident;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class ArrivingTest : public ::testing::Test, public ResidencyHarness {
 protected:
  // On its way, with one waiter; its slot was taken notice of.
  Resident* MakeArriving(const AdapterRef& adapter) {
    Resident* a = residency.AddWaiter(adapter);
    StartLoad(a);
    arrivals_ = Arrive(a->ticket);
    changes_ = residency.TakeSlotChanges();
    return a;
  }

  std::shared_ptr<const LayerArrivals> arrivals_;
  std::vector<SlotChange> changes_;
};

TEST_F(ArrivingTest, HasItsSlotAtOnceAndKeepsIt) {
  Resident* a = MakeArriving(Adapter("t", 1, 3));
  EXPECT_EQ(a->state, ResidencyState::kArriving);
  EXPECT_EQ(a->arrivals, arrivals_);
  ASSERT_THAT(changes_, SizeIs(1));
  EXPECT_EQ(changes_[0].slot, a->slot);
  EXPECT_THAT(changes_[0].contents->cells, SizeIs(6));
  EXPECT_FALSE(a->idle());
  EXPECT_EQ(residency.ReclaimablePages(kAnyone), 0);  // a copy writes them
  EXPECT_EQ(residency.num_loading(), 1);
  const int32_t slot = a->slot;
  EXPECT_EQ(Answer(a->ticket, absl::OkStatus()).resident, a);
  EXPECT_EQ(a->state, ResidencyState::kResident);
  EXPECT_EQ(a->slot, slot);
  EXPECT_EQ(a->arrivals, nullptr);
  EXPECT_THAT(residency.TakeSlotChanges(), IsEmpty());
}

TEST_F(ArrivingTest, StaysIdleWhenEverybodyLeftMeanwhile) {
  Resident* a = MakeArriving(Adapter("t", 1, 3));
  const uint64_t ticket = a->ticket;
  residency.RemoveWaiter(a);
  EXPECT_EQ(a->state, ResidencyState::kArriving);
  EXPECT_THAT(loads.cancelled, IsEmpty());  // it cannot be cancelled any more
  Answer(ticket, absl::OkStatus());
  EXPECT_EQ(a->state, ResidencyState::kResident);
  EXPECT_TRUE(a->idle());
  EXPECT_EQ(residency.ReclaimablePages(kAnyone), 3);
}

TEST_F(ArrivingTest, GoesWithItsSlotWhenItWasForgottenMeanwhile) {
  const AdapterRef adapter = Adapter("t", 1, 3);
  Resident* a = MakeArriving(adapter);
  const uint64_t ticket = a->ticket;
  const int32_t slot = a->slot;
  residency.RemoveWaiter(a);
  residency.Forget(Residency::KeyOf(*adapter));
  EXPECT_THAT(loads.forgotten, Contains(Pair("t", adapter->digest())));
  EXPECT_EQ(pool.num_free(), 17);
  EXPECT_EQ(Answer(ticket, absl::OkStatus()).resident, nullptr);
  EXPECT_EQ(pool.num_free(), 20);
  EXPECT_THAT(residency.Snapshot(), IsEmpty());
  const std::vector<SlotChange> changes = residency.TakeSlotChanges();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].slot, slot);
  EXPECT_EQ(changes[0].contents, nullptr);
}

TEST_F(ArrivingTest, AFailureAfterwardsIsToldAndTakesTheSlot) {
  Resident* a = MakeArriving(Adapter("t", 1, 3));
  const auto result = Answer(a->ticket, absl::InternalError("the device is lost"));
  EXPECT_EQ(result.resident, a);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(a->state, ResidencyState::kDisk);
  EXPECT_EQ(a->slot, -1);
  EXPECT_EQ(a->arrivals, nullptr);
  EXPECT_EQ(pool.num_free(), 20);
  EXPECT_THAT(residency.TakeSlotChanges(), SizeIs(1));
}

TEST_F(ArrivingTest, IsNotWhatACancelledLoadBecomes) {
  Resident* a = residency.AddWaiter(Adapter("t", 1, 3));
  StartLoad(a);
  const uint64_t ticket = a->ticket;
  residency.RemoveWaiter(a);
  Arrive(ticket);
  EXPECT_EQ(a->state, ResidencyState::kCancelling);
  EXPECT_THAT(residency.TakeSlotChanges(), IsEmpty());
  EXPECT_EQ(Answer(ticket, absl::OkStatus()).resident, nullptr);
  EXPECT_EQ(pool.num_free(), 20);
}

}  // namespace
}  // namespace chorus::engine
