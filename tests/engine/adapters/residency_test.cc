// Which adapters lie in the pool: states, cancelled loads, the order of reclaiming, pins, deletion.
#include "engine/adapters/residency.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/residency_harness.h"

namespace chorus::engine {
namespace {

using test::ResidencyHarness;
using Resident = Residency::Resident;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ResidencyTest : public ::testing::Test, public ResidencyHarness {};

TEST_F(ResidencyTest, FromDiskThroughLoadingToResident) {
  Resident* a = residency.AddWaiter(Adapter("t", 1, 3));
  EXPECT_EQ(a->state, ResidencyState::kDisk);
  EXPECT_EQ(a->max_rank, 3);
  EXPECT_THAT(loads.jobs, IsEmpty());
  StartLoad(a);
  EXPECT_EQ(a->state, ResidencyState::kLoading);
  EXPECT_EQ(residency.num_loading(), 1);
  EXPECT_EQ(residency.num_pages(), 3);
  EXPECT_EQ(pool.num_free(), 17);
  ASSERT_THAT(loads.jobs, SizeIs(1));
  EXPECT_THAT(loads.jobs.begin()->second.cells, SizeIs(6));  // two slabs
  EXPECT_THAT(residency.TakeSlotChanges(), IsEmpty());
  now += absl::Milliseconds(5);
  const auto result = Answer(a->ticket, absl::OkStatus());
  EXPECT_EQ(result.resident, a);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.took, absl::Milliseconds(5));
  EXPECT_EQ(a->state, ResidencyState::kResident);
  const std::vector<SlotChange> changes = residency.TakeSlotChanges();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].slot, a->slot);
  EXPECT_THAT(changes[0].contents->cells, SizeIs(6));
  EXPECT_EQ(changes[0].contents->modules[0].rank, 3);
  residency.RemoveWaiter(a);
  EXPECT_THAT(Names(), ElementsAre("t/adapter1"));  // idle, and kept
}

TEST_F(ResidencyTest, AFailedLoadIsToldAndGivesItsPagesBack) {
  Resident* a = residency.AddWaiter(Adapter("t", 1, 3));
  StartLoad(a);
  const auto result = Answer(a->ticket, absl::DataLossError("damaged"));
  EXPECT_EQ(result.resident, a);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(a->state, ResidencyState::kDisk);
  EXPECT_EQ(pool.num_free(), 20);
  EXPECT_EQ(residency.num_pages(), 0);
  residency.RemoveWaiter(a);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(ResidencyTest, ALoadThatNobodyWaitsForIsCancelledAndKeepsItsPagesUntilItAnswers) {
  Resident* a = residency.AddWaiter(Adapter("t", 1, 3));
  StartLoad(a);
  const uint64_t ticket = a->ticket;
  residency.RemoveWaiter(a);
  EXPECT_EQ(a->state, ResidencyState::kCancelling);
  EXPECT_THAT(loads.cancelled, ElementsAre(ticket));
  EXPECT_EQ(pool.num_free(), 17);  // the copy may still write them
  EXPECT_EQ(Answer(ticket, absl::CancelledError("")).resident, nullptr);
  EXPECT_EQ(pool.num_free(), 20);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(ResidencyTest, WhoComesBackDuringACancelStartsAgainOrFindsItLoaded) {
  const AdapterRef adapter = Adapter("t", 1, 3);
  for (const bool load_was_faster : {false, true}) {
    Resident* a = residency.AddWaiter(adapter);
    StartLoad(a);
    const uint64_t ticket = a->ticket;
    residency.RemoveWaiter(a);
    ASSERT_EQ(residency.AddWaiter(adapter), a);
    EXPECT_EQ(a->state, ResidencyState::kCancelling);
    const auto result =
        Answer(ticket, load_was_faster ? absl::OkStatus() : absl::CancelledError(""));
    EXPECT_EQ(result.resident, a);
    EXPECT_TRUE(result.status.ok());  // nobody is to be told of a cancel that was ours
    EXPECT_EQ(a->state, load_was_faster ? ResidencyState::kResident : ResidencyState::kDisk);
    residency.RemoveWaiter(a);
  }
}

TEST_F(ResidencyTest, APinThatComesDuringACancelTakesWhatWasLoaded) {
  const AdapterRef adapter = Adapter("t", 1, 3);
  Resident* a = residency.AddWaiter(adapter);
  StartLoad(a);
  residency.RemoveWaiter(a);
  ASSERT_TRUE(residency.Pin(adapter, true).ok());
  EXPECT_EQ(Answer(a->ticket, absl::OkStatus()).resident, a);
  EXPECT_EQ(a->state, ResidencyState::kResident);
}

TEST_F(ResidencyTest, WhatRunsLoadsOrIsPinnedIsNotReclaimed) {
  Resident* running = MakeResident(Adapter("t", 1, 2));
  residency.Hold(running);
  residency.RemoveWaiter(running);
  Resident* loading = residency.AddWaiter(Adapter("t", 2, 2));
  StartLoad(loading);
  const AdapterRef pinned = Adapter("t", 3, 2);
  Use(pinned);
  ASSERT_TRUE(residency.Pin(pinned, true).ok());
  EXPECT_EQ(residency.ReclaimablePages(kAnyone), 0);
  EXPECT_EQ(residency.CheapestWorth(kAnyone), std::nullopt);
  residency.Unhold(running);
  EXPECT_EQ(residency.ReclaimablePages(kAnyone), 2);
  residency.RemoveWaiter(loading);
}

TEST_F(ResidencyTest, NothingIsTakenFromSomebodyFurtherAheadInTheQueue) {
  Resident* a = MakeResident(Adapter("t", 1, 2));  // and one waits for it
  residency.ClearWaiterRanks();
  residency.SetWaiterRank(a, 3);
  residency.SetWaiterRank(a, 5);  // a second one, behind the first
  EXPECT_EQ(residency.ReclaimablePages(2), 2);
  EXPECT_EQ(residency.ReclaimablePages(3), 0);
  EXPECT_EQ(residency.ReclaimablePages(4), 0);
  EXPECT_EQ(residency.ReclaimablePages(kAnyone), 2);
  residency.ClearWaiterRanks();
  EXPECT_EQ(residency.ReclaimablePages(4), 2);
  residency.ReclaimCheapest(4);
  EXPECT_EQ(a->state, ResidencyState::kDisk);  // evicted, and still waited for
  EXPECT_EQ(a->waiting, 1);
  residency.RemoveWaiter(a);
}

TEST_F(ResidencyTest, EvictionClearsTheSlotBeforeItIsGivenAgain) {
  const AdapterRef a = Adapter("t", 1, 2);
  Use(a);
  const int32_t slot = residency.TakeSlotChanges().at(0).slot;
  residency.ReclaimCheapest(kAnyone);
  Resident* b = MakeResident(Adapter("t", 2, 2));
  const std::vector<SlotChange> changes = residency.TakeSlotChanges();
  ASSERT_THAT(changes, SizeIs(2));
  EXPECT_EQ(changes[0].slot, slot);
  EXPECT_EQ(changes[0].contents, nullptr);
  EXPECT_EQ(changes[1].slot, slot);
  EXPECT_NE(changes[1].contents, nullptr);
  EXPECT_EQ(b->slot, slot);
  residency.RemoveWaiter(b);
}

TEST_F(ResidencyTest, PinsStayWithinTheirBudget) {
  const AdapterRef a = Adapter("t", 1, 5);
  const AdapterRef b = Adapter("t", 2, 4);
  const AdapterRef c = Adapter("t", 3, 3);
  ASSERT_TRUE(residency.Pin(a, true).ok());
  ASSERT_TRUE(residency.Pin(a, true).ok());  // counts once
  const absl::Status refused = residency.Pin(b, true);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Names(), ElementsAre("t/adapter1"));  // nothing of it is left
  ASSERT_TRUE(residency.Pin(c, true).ok());
  std::vector<Resident*> on_disk = residency.PinnedOnDisk();
  ASSERT_THAT(on_disk, SizeIs(2));  // in the order of their pins
  EXPECT_EQ(on_disk[0]->adapter, a);
  EXPECT_EQ(on_disk[1]->adapter, c);
  EXPECT_EQ(residency.num_pinned_pages(), 0);
  StartLoad(on_disk[0]);
  Answer(on_disk[0]->ticket, absl::OkStatus());
  EXPECT_EQ(residency.num_pinned_pages(), 5);
  EXPECT_THAT(residency.PinnedOnDisk(), ElementsAre(on_disk[1]));
  ASSERT_TRUE(residency.Pin(a, false).ok());
  EXPECT_EQ(residency.num_pinned_pages(), 0);
  EXPECT_EQ(residency.ReclaimablePages(kAnyone), 5);  // it stays until its pages are wanted
  EXPECT_TRUE(residency.Pin(b, true).ok());
}

TEST_F(ResidencyTest, UnpinningWhatIsNotThereLeavesNothing) {
  const AdapterRef a = Adapter("t", 1, 2);
  ASSERT_TRUE(residency.Pin(a, false).ok());
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(a.use_count(), 1);  // a deleted adapter's files wait for whoever holds it
}

TEST_F(ResidencyTest, APinnedAdapterThatCannotBeReadIsNotReadForEver) {
  const AdapterRef a = Adapter("t", 1, 2);
  ASSERT_TRUE(residency.Pin(a, true).ok());
  Resident* resident = residency.PinnedOnDisk().at(0);
  StartLoad(resident);
  Answer(resident->ticket, absl::DataLossError("damaged"));
  EXPECT_THAT(residency.PinnedOnDisk(), IsEmpty());
  EXPECT_EQ(pool.num_free(), 20);
  // Somebody who asks for it tries again, and so does who pins it again.
  residency.RemoveWaiter(residency.AddWaiter(a));
  EXPECT_THAT(residency.PinnedOnDisk(), SizeIs(1));
  StartLoad(resident);
  Answer(resident->ticket, absl::DataLossError("damaged"));
  ASSERT_TRUE(residency.Pin(a, true).ok());
  EXPECT_THAT(residency.PinnedOnDisk(), SizeIs(1));
}

TEST_F(ResidencyTest, AForgottenAdapterGoesWithItsLastUser) {
  const AdapterRef idle = Adapter("t", 1, 2);
  Use(idle);
  residency.Forget(Residency::KeyOf(*idle));
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(idle.use_count(), 1);

  const AdapterRef used = Adapter("t", 2, 2);
  Resident* running = MakeResident(used);
  residency.Hold(running);
  residency.Forget(Residency::KeyOf(*used));
  residency.RemoveWaiter(running);
  EXPECT_EQ(running->state, ResidencyState::kResident);
  residency.Unhold(running);
  EXPECT_THAT(Names(), IsEmpty());

  const AdapterRef loading = Adapter("t", 3, 2);
  ASSERT_TRUE(residency.Pin(loading, true).ok());
  StartLoad(residency.PinnedOnDisk().at(0));
  residency.Forget(Residency::KeyOf(*loading));  // a pin does not outlive its adapter
  EXPECT_THAT(loads.cancelled, SizeIs(1));
  Answer(loads.jobs.begin()->first, absl::OkStatus());
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(pool.num_free(), 20);
  residency.Forget(Residency::KeyOf(*loading));  // long gone
}

TEST_F(ResidencyTest, ContentThatIsUploadedAgainIsRememberedAgain) {
  const AdapterRef old = Adapter("t", 1, 2, /*version=*/1);
  Resident* resident = MakeResident(old);
  residency.Forget(Residency::KeyOf(*old));
  const AdapterRef again = Adapter("t", 1, 2, /*version=*/3);
  ASSERT_EQ(residency.AddWaiter(again), resident);
  residency.RemoveWaiter(resident);
  residency.RemoveWaiter(resident);
  EXPECT_EQ(resident->state, ResidencyState::kResident);
  EXPECT_EQ(residency.Snapshot().at(0).version, 3);
  EXPECT_EQ(old.use_count(), 1);
}

TEST_F(ResidencyTest, TenantsWithTheSameContentHaveOneEach) {
  Use(Adapter("t", 1, 2));
  Use(Adapter("u", 1, 2));
  EXPECT_THAT(Names(), ElementsAre("t/adapter1", "u/adapter1"));
  EXPECT_EQ(residency.num_pages(), 4);
  residency.Forget(Residency::KeyOf(*Adapter("t", 1, 2)));
  EXPECT_THAT(Names(), ElementsAre("u/adapter1"));
}

}  // namespace
}  // namespace chorus::engine
