// Bulk copies: who may touch their bytes, and when.
#include "gtest/gtest.h"
#include "tests/simt/bulk_case.h"

namespace chorus::kernels {
namespace {

std::string Place(const std::string& mark) { return At("bulk_copy_test.cc", mark); }
std::string Line(const std::string& mark) { return LineOf("bulk_copy_test.cc", mark); }

std::string InEveryOrder(const Kernel& kernel) {
  for (const SimtOptions& options : EveryOrder(4)) {
    const std::string failure = BulkFailure(kernel, options);
    if (!failure.empty()) return Name(options) + ": " + failure;
  }
  return "";
}

template <class Arch>
CHORUS_DEVICE void AllWaitBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 5) Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
  if (arch.Warp() == 1) Use(arch, params);
}
BULK_KERNEL(AllWait, 64, AllWaitBody)

// One waits for all, in the warp or in the block.
template <bool kWarp, class Arch>
CHORUS_DEVICE void OneWaitsBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
  if (arch.Thread() == 40) arch.BarWait(Bars(arch), 0, 0);
  if (kWarp) {
    arch.SyncWarp();
  } else {
    arch.Sync();
  }
  if (arch.Warp() == (kWarp ? 1 : 0)) Use(arch, params);
}
BULK_KERNEL(OneWaitsForItsWarp, 64, OneWaitsBody<true>)
BULK_KERNEL(OneWaitsForTheBlock, 64, OneWaitsBody<false>)

// Of two arrivals one announces more than its own bytes; the copies come before, between, after.
template <class Arch>
CHORUS_DEVICE void TwoArriveBody(Arch& arch, const BulkParams& params) {
  Init(arch, 2);
  auto in = arch.Global(params.in, kBulkCells);
  const int cell = arch.Warp() * 32;
  for (uint32_t phase = 0; phase < 2; ++phase) {
    if (arch.Lane() == 0) {
      if (arch.Warp() == 0) arch.BarArriveExpect(Bars(arch), 0, kBulkBytes);
      arch.Bulk(Stage(arch, 0), cell, in, cell, kBulkBytes / 4, Bars(arch), 0);
      if (arch.Warp() == 3) arch.BarArrive(Bars(arch), 0);
    }
    arch.BarWait(Bars(arch), 0, phase);
    Read(arch);
    arch.Sync();
  }
  if (arch.Warp() == 2) Use(arch, params);
}
BULK_KERNEL(TwoArrive, 128, TwoArriveBody)

// Three phases of each mbarrier, the second without bytes; threads only arrive at it, so that it
// ends by itself. Copies are refilled behind a Sync.
template <class Arch>
CHORUS_DEVICE void PhasesBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  for (uint32_t phase = 0; phase < 3; ++phase) {
    if (arch.Thread() == 63) arch.BarArrive(Bars(arch), 1);
    arch.BarWait(Bars(arch), 1, phase % 2);
    if (arch.Thread() == 0) Begin(arch, params);
    arch.BarWait(Bars(arch), 0, phase % 2);
    if (phase < 2) Read(arch);
    arch.Sync();
  }
  if (arch.Warp() == 1) Use(arch, params);
}
BULK_KERNEL(Phases, 64, PhasesBody)

// Before the first phase is over, the one before it, of parity 1, is.
template <class Arch>
CHORUS_DEVICE void NothingToWaitForBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  arch.BarWait(Bars(arch), 0, 1);
  arch.Sync();
  if (arch.Thread() == 0) Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
  arch.BarWait(Bars(arch), 0, 0);
  Use(arch, params);
}
BULK_KERNEL(NothingToWaitFor, 32, NothingToWaitForBody)

// A stage that stores wrote is fenced by who stored.
template <bool kFences, class Arch>
CHORUS_DEVICE void StoredBeforeBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  Stage(arch, 0).StoreFrom(F4{}, 4 * arch.Lane());  // <stored>
  if (kFences || arch.Lane() != 31) arch.BarFence();
  arch.Sync();
  if (arch.Thread() == 0) Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
  Use(arch, params);
}
BULK_KERNEL(StoredAndFenced, 32, StoredBeforeBody<true>)
BULK_KERNEL(StoredAndNotFenced, 32, StoredBeforeBody<false>)

TEST(BulkCopyTest, WaitedForItIsThere) {
  for (const Kernel* kernel : {&kAllWait, &kOneWaitsForItsWarp, &kOneWaitsForTheBlock, &kTwoArrive,
                               &kPhases, &kNothingToWaitFor, &kStoredAndFenced}) {
    EXPECT_EQ(InEveryOrder(*kernel), "") << kernel->name;
  }
}

TEST(BulkCopyTest, StoresAreFencedByWhoStored) {
  EXPECT_EQ(BulkFailure(kStoredAndNotFenced),
            "kStoredAndNotFenced, block 0: thread 0 at " + BulkPlace("bulk") +
                ": writes shared byte 496, what thread 31 wrote at line " + Line("stored") +
                ", with no BarFence by it since");
}

// Without the shadow the numbers show that nothing lands early.
template <bool kWrites, class Arch>
CHORUS_DEVICE void NotAwaitedBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
  arch.SyncWarp();
  if (kWrites) Stage(arch, 0).Store(arch.Thread(), 1.0f);  // <write too early>
  Use(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
}
BULK_KERNEL(NotAwaited, 32, NotAwaitedBody<false>)
BULK_KERNEL(WrittenUnderWay, 32, NotAwaitedBody<true>)

TEST(BulkCopyTest, TouchedBeforeItsWait) {
  const std::string under_way =
      " shared byte 0, while the copy of thread 0 at line " + BulkLine("bulk") + " is under way";
  EXPECT_EQ(BulkFailure(kNotAwaited),
            "kNotAwaited, block 0: thread 0 at " + BulkPlace("read") + ": reads" + under_way);
  EXPECT_EQ(BulkFailure(kNotAwaited, {.shadow = false}), "wrong number");
  EXPECT_EQ(BulkFailure(kWrittenUnderWay), "kWrittenUnderWay, block 0: thread 0 at " +
                                               Place("write too early") + ": writes" + under_way);
}

// That one has waited, and the bytes are there, is luck to others: to those of another warp, of
// the same warp, and to the thread that began the copy.
template <int kReader, class Arch>
CHORUS_DEVICE void OtherWaitsBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 1) Begin(arch, params);
  arch.Sync();  // the copy may be under way for long
  if (arch.Thread() == 0) arch.BarWait(Bars(arch), 0, 0);
  if (arch.Warp() == 1) arch.SyncWarp();                 // with none that waited
  if (arch.Thread() == kReader) Stage(arch, 0).Load(0);  // <luck>
}
BULK_KERNEL(OtherWarpWaits, 64, OtherWaitsBody<32>)
BULK_KERNEL(OtherLaneWaits, 64, OtherWaitsBody<31>)
BULK_KERNEL(IssuerDoesNotWait, 64, OtherWaitsBody<1>)

TEST(BulkCopyTest, EachReaderWaitsOrIsBehindASync) {
  const auto reads = [](const std::string& thread) {
    return ", block 0: thread " + thread + " at " + Place("luck") +
           ": reads shared byte 0, what the Bulk at line " + BulkLine("bulk") +
           " brought, with neither its BarWait nor a Sync between";
  };
  EXPECT_EQ(BulkFailure(kOtherWarpWaits), "kOtherWarpWaits" + reads("32"));
  EXPECT_EQ(BulkFailure(kOtherLaneWaits), "kOtherLaneWaits" + reads("31"));
  EXPECT_EQ(BulkFailure(kIssuerDoesNotWait), "kIssuerDoesNotWait" + reads("1"));
}

// Waiting for another mbarrier, or for an earlier phase, is not enough.
template <class Arch>
CHORUS_DEVICE void WrongBarBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
  if (arch.Thread() == 0) arch.BarArrive(Bars(arch), 1);
  arch.BarWait(Bars(arch), arch.Warp(), 0);
  Read(arch);
}
BULK_KERNEL(WrongBar, 64, WrongBarBody)

TEST(BulkCopyTest, ThePhaseOfTheCopyIsWaitedFor) {
  EXPECT_EQ(BulkFailure(kWrongBar), "kWrongBar, block 0: thread 32 at " + BulkPlace("read") +
                                        ": reads shared byte 0, what the Bulk at line " +
                                        BulkLine("bulk") +
                                        " brought, with neither its BarWait nor a Sync between");
}

// One lane fills the stage anew while others may still read it, or behind a SyncWarp.
template <bool kSyncs, class Arch>
CHORUS_DEVICE void RefillBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
  Read(arch);
  if (kSyncs) arch.SyncWarp();
  if (arch.Thread() == 31) Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 1);
  Use(arch, params);
}
BULK_KERNEL(Refill, 32, RefillBody<false>)
BULK_KERNEL(RefillBehindSyncWarp, 32, RefillBody<true>)

// The readers arrive on an mbarrier that the thread waits for: the executor knows of no such order.
template <class Arch>
CHORUS_DEVICE void RefillByArrivalsBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
  if (arch.Warp() == 1) {
    arch.BarWait(Bars(arch), 0, 0);
    Read(arch);
    arch.SyncWarp();
    if (arch.Lane() == 0) arch.BarArrive(Bars(arch), 1);
  }
  if (arch.Thread() == 0) {
    arch.BarWait(Bars(arch), 0, 0);
    arch.BarWait(Bars(arch), 1, 0);
    Begin(arch, params);
  }
}
BULK_KERNEL(RefillByArrivals, 64, RefillByArrivalsBody)

TEST(BulkCopyTest, BegunWhileOthersMayStillRead) {
  const auto writes = [](const std::string& reader, const std::string& order) {
    return " at " + BulkPlace("bulk") + ": writes shared byte 0, what thread " + reader +
           " read at line " + BulkLine("read") + ", with no " + order + " between";
  };
  EXPECT_EQ(BulkFailure(kRefill), "kRefill, block 0: thread 31" + writes("0", "SyncWarp"));
  EXPECT_EQ(InEveryOrder(kRefillBehindSyncWarp), "");
  EXPECT_EQ(BulkFailure(kRefillByArrivals),
            "kRefillByArrivals, block 0: thread 0" + writes("32", "Sync"));
}

// Nothing keeps the second phase from being over before all have seen the end of the first.
template <class Arch>
CHORUS_DEVICE void MissedBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);  // <may miss it>
  if (arch.Thread() == 0) Begin(arch, params);
}
BULK_KERNEL(Missed, 64, MissedBody)

TEST(BulkCopyTest, APhaseMayBeMissed) {
  const std::string misses =
      " at " + Place("may miss it") + ": the phase after the one it waits for may be over too";
  EXPECT_EQ(BulkFailure(kMissed), "kMissed, block 0: thread 1" + misses);
  EXPECT_EQ(BulkFailure(kMissed, {.order = Order::kReverse}),
            "kMissed, block 0: thread 63" + misses);
}

template <class Arch>
CHORUS_DEVICE void ForgottenBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  if (arch.Thread() == 0) Begin(arch, params);
}
BULK_KERNEL(Forgotten, 32, ForgottenBody)

TEST(BulkCopyTest, UnderWayAtTheEnd) {
  EXPECT_EQ(BulkFailure(kForgotten),
            "kForgotten, block 0: all threads left the kernel with 1 bulk copies under way to the "
            "mbarrier at shared byte 1024");
  EXPECT_EQ(BulkFailure(kAllWait), "");  // an abandoned block's copies are forgotten
}

}  // namespace
}  // namespace chorus::kernels
