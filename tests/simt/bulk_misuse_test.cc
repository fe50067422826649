// Mbarriers and bulk copies that the hardware has no word for.
#include "gtest/gtest.h"
#include "tests/simt/bulk_case.h"

namespace chorus::kernels {
namespace {

std::string Place(const std::string& mark) { return At("bulk_misuse_test.cc", mark); }

// Thread 0 calls it, alone; mbarriers are there.
#define MISUSE_KERNEL(name, ...)                                        \
  template <class Arch>                                                 \
  CHORUS_DEVICE void name##Body(Arch& arch, const BulkParams& params) { \
    Init(arch);                                                         \
    [[maybe_unused]] auto in = arch.Global(params.in, kBulkCells);      \
    [[maybe_unused]] auto stage = Stage(arch, 0);                       \
    [[maybe_unused]] auto bars = Bars(arch);                            \
    if (arch.Thread() != 0) return;                                     \
    __VA_ARGS__;                                                        \
  }                                                                     \
  BULK_KERNEL(name, 32, name##Body)

template <class Arch>
CHORUS_DEVICE void NoInitBody(Arch& arch, const BulkParams& params) {
  Begin(arch, params);
}
BULK_KERNEL(NoInit, 32, NoInitBody)

template <bool kFences, class Arch>
CHORUS_DEVICE void InitAndBeginBody(Arch& arch, const BulkParams& params) {
  if (arch.Thread() == 0) {
    arch.BarInit(Bars(arch), 0, 1);  // <init without a Sync>
    if (kFences) arch.BarFence();    // <fence without a Sync>
  }
  if (!kFences) arch.Sync();
  if (arch.Thread() == 1) Begin(arch, params);
}
BULK_KERNEL(NoFence, 32, InitAndBeginBody<false>)
BULK_KERNEL(NoSync, 32, InitAndBeginBody<true>)

// The Sync is between the BarInit and the BarFence.
template <class Arch>
CHORUS_DEVICE void LateFenceBody(Arch& arch, const BulkParams& params) {
  if (arch.Thread() == 0) arch.BarInit(Bars(arch), 0, 1);
  arch.Sync();
  if (arch.Thread() == 0) arch.BarFence();  // <late fence>
  if (arch.Thread() == 1) Begin(arch, params);
}
BULK_KERNEL(LateFence, 32, LateFenceBody)

// Another thread's fence is no help.
template <class Arch>
CHORUS_DEVICE void OthersFenceBody(Arch& arch, const BulkParams& params) {
  if (arch.Thread() == 0) arch.BarInit(Bars(arch), 0, 1);
  if (arch.Thread() == 1) arch.BarFence();
  arch.Sync();
  if (arch.Thread() == 0) Begin(arch, params);
}
BULK_KERNEL(OthersFence, 32, OthersFenceBody)

TEST(BulkMisuseTest, AnMbarrierIsInitialisedFencedAndSynced) {
  const std::string byte = " of the mbarrier at shared byte 1024";
  EXPECT_EQ(BulkFailure(kNoInit),
            "kNoInit, block 0: thread 0 at " + BulkPlace("arrive") + ": no BarInit" + byte);
  EXPECT_EQ(BulkFailure(kNoFence), "kNoFence, block 0: thread 1 at " + BulkPlace("bulk") +
                                       ": no BarFence since the BarInit" + byte);
  EXPECT_EQ(BulkFailure(kOthersFence), "kOthersFence, block 0: thread 0 at " + BulkPlace("bulk") +
                                           ": no BarFence since the BarInit" + byte);
  EXPECT_EQ(BulkFailure(kNoSync), "kNoSync, block 0: thread 1 at " + BulkPlace("arrive") +
                                      ": reads shared byte 1024, what thread 0 wrote at line " +
                                      LineOf("bulk_misuse_test.cc", "fence without a Sync") +
                                      ", with no SyncWarp between");
  EXPECT_EQ(BulkFailure(kLateFence), "kLateFence, block 0: thread 1 at " + BulkPlace("arrive") +
                                         ": reads shared byte 1024, what thread 0 wrote at line " +
                                         LineOf("bulk_misuse_test.cc", "late fence") +
                                         ", with no SyncWarp between");
  // Whoever comes first finds nothing, or no fence.
  EXPECT_EQ(BulkFailure(kNoSync, {.order = Order::kReverse}),
            "kNoSync, block 0: thread 1 at " + BulkPlace("arrive") + ": no BarInit" + byte);
  EXPECT_EQ(BulkFailure(kLateFence, {.order = Order::kReverse}),
            "kLateFence, block 0: thread 1 at " + BulkPlace("bulk") +
                ": no BarFence since the BarInit" + byte);
}

MISUSE_KERNEL(NoArrivals, arch.BarInit(Shared<uint64_t>(arch, 0, 1), 0, 0))  // <no arrivals>
MISUSE_KERNEL(Again, arch.BarInit(bars, 1, 1))                               // <again>
MISUSE_KERNEL(Overwritten, bars.Store(0, 7); Begin(arch, params))
MISUSE_KERNEL(PastBars, arch.BarArrive(bars, 2))  // <past bars>
template <class Arch>
CHORUS_DEVICE void GlobalBarsAlone(Arch& arch, const BulkParams& params) {
  auto out = arch.Global(reinterpret_cast<uint64_t*>(params.out), kBulkCells / 2);
  arch.BarInit(out, 0, 1);  // <global bars>
}
MISUSE_KERNEL(GlobalBars, GlobalBarsAlone(arch, params))

TEST(BulkMisuseTest, AnMbarrierIsAWordOfSharedMemoryOfItsOwn) {
  EXPECT_EQ(BulkFailure(kNoArrivals),
            "kNoArrivals, block 0: BarInit at " + Place("no arrivals") + " for 0 arrivals");
  EXPECT_EQ(BulkFailure(kAgain), "kAgain, block 0: thread 0 at " + Place("again") +
                                     ": a second BarInit of the mbarrier at shared byte 1032");
  EXPECT_EQ(BulkFailure(kOverwritten), "kOverwritten, block 0: thread 0 at " + BulkPlace("arrive") +
                                           ": the mbarrier at shared byte 1024 was overwritten");
  EXPECT_EQ(BulkFailure(kPastBars), "kPastBars, block 0: thread 0 at " + Place("past bars") +
                                        ": index 2 of 2 in shared memory");
  EXPECT_EQ(BulkFailure(kGlobalBars), "kGlobalBars, block 0: the mbarriers at " +
                                          Place("global bars") + " are not in shared memory");
}

// A phase with bytes is over when somebody waits, one without at its last arrival.
MISUSE_KERNEL(TwoPhasesArrive, Begin(arch, params); arch.BarArrive(bars, 0))  // <arrives again>
template <class Arch>
CHORUS_DEVICE void ManyPhasesAlone(Arch& arch, const BulkParams& params) {
  for (int i = 0; i < 5; ++i) arch.BarArrive(Bars(arch), 0);
  arch.BarWait(Bars(arch), 0, 0);
  Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 1);
  arch.BarArriveExpect(Bars(arch), 0, 16);
  arch.BarArrive(Bars(arch), 0);  // <arrives before the bytes>
}
MISUSE_KERNEL(ManyPhases, ManyPhasesAlone(arch, params))
MISUSE_KERNEL(LessThanNothing, arch.BarArriveExpect(bars, 0, -16))  // <negative>
MISUSE_KERNEL(TooMuch, arch.BarArriveExpect(bars, 0, 1 << 20))      // <mebibyte>
template <class Arch>
CHORUS_DEVICE void MoreThanExpectedAlone(Arch& arch, const BulkParams& params) {
  Begin(arch, params);
  Copy(arch, params, 1);
}
MISUSE_KERNEL(MoreThanExpected, MoreThanExpectedAlone(arch, params))
template <class Arch>
CHORUS_DEVICE void ExpectedTooLateAlone(Arch& arch, const BulkParams& params) {
  Copy(arch, params);
  arch.BarArriveExpect(Bars(arch), 0, 16);  // <less than came>
}
MISUSE_KERNEL(ExpectedTooLate, ExpectedTooLateAlone(arch, params))

TEST(BulkMisuseTest, APhaseTakesWhatWasAgreed) {
  EXPECT_EQ(BulkFailure(kTwoPhasesArrive),
            "kTwoPhasesArrive, block 0: thread 0 at " + Place("arrives again") +
                ": one arrival more than the 1 of a phase of the mbarrier at shared byte 1024");
  EXPECT_EQ(BulkFailure(kManyPhases),
            "kManyPhases, block 0: thread 0 at " + Place("arrives before the bytes") +
                ": one arrival more than the 1 of a phase of the mbarrier at shared byte 1024");
  EXPECT_EQ(BulkFailure(kLessThanNothing),
            "kLessThanNothing, block 0: thread 0 at " + Place("negative") +
                ": the mbarrier at shared byte 1024 cannot expect -16 bytes more");
  EXPECT_EQ(BulkFailure(kTooMuch),
            "kTooMuch, block 0: thread 0 at " + Place("mebibyte") +
                ": the mbarrier at shared byte 1024 cannot expect 1048576 bytes more");
  EXPECT_EQ(BulkFailure(kMoreThanExpected),
            "kMoreThanExpected, block 0: thread 0 at " + BulkPlace("bulk") +
                ": 1024 bytes come to the mbarrier at shared byte 1024, which expects 512");
  EXPECT_EQ(BulkFailure(kExpectedTooLate),
            "kExpectedTooLate, block 0: thread 0 at " + Place("less than came") +
                ": 512 bytes come to the mbarrier at shared byte 1024, which expects 16");
}

template <class Arch>
CHORUS_DEVICE void WrongParityAlone(Arch& arch, const BulkParams& params) {
  Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
  arch.BarWait(Bars(arch), 0, 1);  // <wrong parity>
}
MISUSE_KERNEL(WrongParity, WrongParityAlone(arch, params))
template <class Arch>
CHORUS_DEVICE void FewerBytesAlone(Arch& arch, const BulkParams& params) {
  arch.BarArriveExpect(Bars(arch), 0, kBulkBytes + 16);
  Copy(arch, params);
  arch.BarWait(Bars(arch), 0, 0);  // <fewer bytes>
}
MISUSE_KERNEL(FewerBytes, FewerBytesAlone(arch, params))
MISUSE_KERNEL(NobodyArrives, arch.BarWait(bars, 0, 0))                   // <nobody arrives>
MISUSE_KERNEL(NoSuchParity, arch.BarWait(bars, 0, 2))                    // <parity two>
MISUSE_KERNEL(Overtaken, Begin(arch, params); arch.BarWait(bars, 0, 1))  // <overtaken>

TEST(BulkMisuseTest, APhaseThatIsWaitedForComes) {
  const auto deadlock = [](const std::string& mark) {
    return ", block 0: deadlock: 1 threads in BarWait at " + Place(mark) + ", 31 have left";
  };
  EXPECT_EQ(BulkFailure(kWrongParity), "kWrongParity" + deadlock("wrong parity"));
  EXPECT_EQ(BulkFailure(kFewerBytes), "kFewerBytes" + deadlock("fewer bytes"));
  EXPECT_EQ(BulkFailure(kNobodyArrives), "kNobodyArrives" + deadlock("nobody arrives"));
  EXPECT_EQ(BulkFailure(kNoSuchParity),
            "kNoSuchParity, block 0: BarWait at " + Place("parity two") + " for parity 2");
  EXPECT_EQ(BulkFailure(kOvertaken), "kOvertaken, block 0: thread 0 at " + Place("overtaken") +
                                         ": the phase after the one it waits for may be over too");
}

MISUSE_KERNEL(OddSource, arch.Bulk(stage, 0, in, 2, 16, bars, 0))       // <odd source>
MISUSE_KERNEL(OddTarget, arch.Bulk(stage, 2, in, 0, 16, bars, 0))       // <odd target>
MISUSE_KERNEL(OddBytes, arch.Bulk(stage, 0, in, 0, 24, bars, 0))        // <odd bytes>
MISUSE_KERNEL(NoBytes, arch.Bulk(stage, 0, in, 0, 0, bars, 0))          // <no bytes>
MISUSE_KERNEL(PastSource, arch.Bulk(stage, 0, in, 4, 512, bars, 0))     // <past source>
MISUSE_KERNEL(PastTarget, arch.Bulk(stage, 124, in, 0, 32, bars, 0))    // <past target>
MISUSE_KERNEL(FromShared, arch.Bulk(stage, 0, stage, 64, 16, bars, 0))  // <from shared>
MISUSE_KERNEL(Overlapping, Copy(arch, params); Copy(arch, params))

TEST(BulkMisuseTest, ACopyIsAlignedAndWithinItsSpans) {
  EXPECT_EQ(BulkFailure(kOddSource), "kOddSource, block 0: thread 0 at " + Place("odd source") +
                                         ": 16 misaligned bytes at index 2 in in");
  EXPECT_EQ(BulkFailure(kOddTarget), "kOddTarget, block 0: thread 0 at " + Place("odd target") +
                                         ": 16 misaligned bytes at index 2 in shared memory");
  EXPECT_EQ(BulkFailure(kOddBytes),
            "kOddBytes, block 0: Bulk at " + Place("odd bytes") + " is of 24 bytes");
  EXPECT_EQ(BulkFailure(kNoBytes),
            "kNoBytes, block 0: Bulk at " + Place("no bytes") + " is of 0 bytes");
  EXPECT_EQ(BulkFailure(kPastSource),
            "kPastSource, block 0: thread 0 at " + Place("past source") + ": index 4 of 128 in in");
  EXPECT_EQ(BulkFailure(kPastTarget), "kPastTarget, block 0: thread 0 at " + Place("past target") +
                                          ": index 124 of 128 in shared memory");
  EXPECT_EQ(BulkFailure(kFromShared), "kFromShared, block 0: Bulk at " + Place("from shared") +
                                          " is not from global to shared memory");
  EXPECT_EQ(BulkFailure(kOverlapping),
            "kOverlapping, block 0: thread 0 at " + BulkPlace("bulk") +
                ": writes shared byte 0, while the copy of thread 0 at line " + BulkLine("bulk") +
                " is under way");
}

}  // namespace
}  // namespace chorus::kernels
