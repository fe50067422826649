// Threads that have to meet and do not, and what the executor says; shuffles and votes that do.
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

struct NoParams {
  int32_t* out;  // [64]
};

#define MEETING_KERNEL(name, threads) \
  CHORUS_KERNEL(k##name, NoParams, threads, 1, name##Body(arch, params))

std::string Place(const std::string& mark) { return At("meeting_test.cc", mark); }

std::string Failure(const Kernel& kernel, const SimtOptions& options = {}) {
  std::vector<int32_t> out(64);
  SimtMemory memory;
  memory.Add("out", out.data(), 64, SimtUse::kWriteOnce);
  const NoParams params{out.data()};
  return RunSimt(kernel, 1, 0, &params, memory, options).failure;
}

template <class Arch>
CHORUS_DEVICE void ReturnBeforeSyncBody(Arch& arch, const NoParams&) {
  if (arch.Thread() == 5) return;
  arch.Sync();  // <sync of some>
}
MEETING_KERNEL(ReturnBeforeSync, 64)

TEST(MeetingTest, AThreadLeavesBeforeSync) {
  EXPECT_EQ(Failure(kReturnBeforeSync),
            "kReturnBeforeSync, block 0: thread 5 left the kernel, 5 threads wait in Sync at " +
                Place("sync of some"));
  // The one that leaves runs first.
  EXPECT_EQ(Failure(kReturnBeforeSync, {.order = Order::kReverse}),
            "kReturnBeforeSync, block 0: thread 5 left the kernel, 58 threads wait in Sync at " +
                Place("sync of some"));
}

template <class Arch>
CHORUS_DEVICE void SyncAfterLeavingBody(Arch& arch, const NoParams&) {
  if (arch.Thread() < 2) return;
  arch.Sync();  // <sync of the others>
}
MEETING_KERNEL(SyncAfterLeaving, 64)

TEST(MeetingTest, SyncAfterAThreadLeft) {
  EXPECT_EQ(Failure(kSyncAfterLeaving), "kSyncAfterLeaving, block 0: thread 2 in Sync at " +
                                            Place("sync of the others") +
                                            ", but 2 threads have left the kernel");
}

template <class Arch>
CHORUS_DEVICE void TwoSyncsBody(Arch& arch, const NoParams&) {
  if (arch.Warp() == 0) {
    arch.Sync();  // <first sync>
  } else {
    arch.Sync();  // <second sync>
  }
}
MEETING_KERNEL(TwoSyncs, 64)

TEST(MeetingTest, SyncsInTwoBranches) {
  EXPECT_EQ(Failure(kTwoSyncs), "kTwoSyncs, block 0: threads at different Syncs: " +
                                    Place("first sync") + " and " + Place("second sync"));
}

template <class Arch>
CHORUS_DEVICE void HalfShuffleBody(Arch& arch, const NoParams&) {
  if (arch.Lane() < 16) arch.ShflXor(1.0f, 1);  // <half shuffle>
  arch.Sync();                                  // <sync after half>
}
MEETING_KERNEL(HalfShuffle, 64)

template <class Arch>
CHORUS_DEVICE void HalfShuffleThenEndBody(Arch& arch, const NoParams&) {
  if (arch.Lane() < 16) arch.ShflXor(1.0f, 1);  // <half shuffle, then end>
}
MEETING_KERNEL(HalfShuffleThenEnd, 32)

TEST(MeetingTest, ShuffleInHalfAWarp) {
  EXPECT_EQ(Failure(kHalfShuffle), "kHalfShuffle, block 0: deadlock: 32 threads in Shfl at " +
                                       Place("half shuffle") + ", 32 threads in Sync at " +
                                       Place("sync after half") + ", 0 have left");
  EXPECT_EQ(Failure(kHalfShuffleThenEnd),
            "kHalfShuffleThenEnd, block 0: thread 16 left the kernel, lanes of its warp wait in "
            "Shfl at " +
                Place("half shuffle, then end"));
  EXPECT_EQ(Failure(kHalfShuffleThenEnd, {.order = Order::kReverse}),
            "kHalfShuffleThenEnd, block 0: thread 15 in Shfl at " +
                Place("half shuffle, then end") +
                ", but thread 16 of its warp has left the kernel");
}

template <class Arch>
CHORUS_DEVICE void DivergedBody(Arch& arch, const NoParams&) {
  if (arch.Lane() < 16) {
    arch.Ballot(true);  // <ballot>
  } else {
    arch.SyncWarp();  // <syncwarp>
  }
}
MEETING_KERNEL(Diverged, 64)

TEST(MeetingTest, WarpsDiverge) {
  EXPECT_EQ(Failure(kDiverged), "kDiverged, block 0: warp 0 diverged: lanes in Ballot at " +
                                    Place("ballot") + " and in SyncWarp at " + Place("syncwarp"));
  EXPECT_EQ(Failure(kDiverged, {.order = Order::kBehind}),
            "kDiverged, block 0: warp 1 diverged: lanes in Ballot at " + Place("ballot") +
                " and in SyncWarp at " + Place("syncwarp"));
}

template <class Arch>
CHORUS_DEVICE void LoneMmaBody(Arch& arch, const NoParams&) {
  float d[4] = {};
  if (arch.Lane() != 9) arch.Mma16816(Bf16{}, d, 0, 0, 0, 0, 0, 0);  // <31 lanes>
}
MEETING_KERNEL(LoneMma, 32)

TEST(MeetingTest, AnMmaWithoutOneLane) {
  EXPECT_EQ(Failure(kLoneMma),
            "kLoneMma, block 0: thread 9 left the kernel, lanes of its warp "
            "wait in Mma at " +
                Place("31 lanes"));
}

template <class Arch>
CHORUS_DEVICE void FarLaneBody(Arch& arch, const NoParams&) {
  arch.Shfl(1u, 32);  // <far lane>
}
MEETING_KERNEL(FarLane, 32)

TEST(MeetingTest, ShuffleFromALaneThatThereIsNot) {
  EXPECT_EQ(Failure(kFarLane), "kFarLane, block 0: Shfl from lane 32 at " + Place("far lane"));
}

template <class Arch>
CHORUS_DEVICE void CountdownBody(Arch& arch, const NoParams&) {
  for (uint32_t i = 0; arch.Guard(i < 3); ++i) {  // <countdown>
  }
}
MEETING_KERNEL(Countdown, 32)

TEST(MeetingTest, ALoopWhoseGuardIsTakenAwayEnds) {
  EXPECT_EQ(Failure(kCountdown), "");
  SimtOptions options;
  std::set<Site> sites;
  options.sites = &sites;
  EXPECT_EQ(Failure(kCountdown, options), "");
  ASSERT_EQ(sites.size(), 1u);
  options.mutated = *sites.begin();
  EXPECT_EQ(Failure(kCountdown, options),
            "kCountdown, block 0: no end without what stands at " + Place("countdown"));
}

// The sum of a warp, its own votes, and the value of the lane opposite.
template <class Arch>
CHORUS_DEVICE void TalkBody(Arch& arch, const NoParams& params) {
  auto sum = static_cast<float>(arch.Thread());
  for (int mask = 16; mask > 0; mask /= 2) sum += arch.ShflXor(sum, mask);
  const uint32_t odd = arch.Ballot(arch.Lane() % 2 == 1);
  const uint32_t opposite =
      arch.Shfl(static_cast<uint32_t>(arch.Thread()), kWarpThreads - 1 - arch.Lane());
  const auto want_sum = static_cast<float>(arch.Warp() * 32 * 32 + 31 * 16);
  const auto want_opposite = static_cast<uint32_t>(arch.Warp() * 32 + 31 - arch.Lane());
  const bool right = sum == want_sum && odd == 0xaaaaaaaau && opposite == want_opposite;
  if (right) arch.Global(params.out, 64).Store(arch.Thread(), 1);
}
MEETING_KERNEL(Talk, 64)

TEST(MeetingTest, ShufflesAndVotesInEveryOrder) {
  std::vector<int32_t> out(64);
  SimtMemory memory;
  memory.Add("out", out.data(), 64, SimtUse::kWriteOnce);
  const NoParams params{out.data()};
  const auto check = [&] { return out == std::vector<int32_t>(64, 1) ? "" : "wrong"; };
  EXPECT_EQ(RunInEveryOrder(
                kTalk, 1, 0, &params, memory, 9, [] {}, check),
            "");
  EXPECT_EQ(RunInEveryOrder(
                kTalk, 1, 0, &params, memory, 9, [] {}, [] { return "no"; }),
            "forward order: no");
}

}  // namespace
}  // namespace chorus::kernels
