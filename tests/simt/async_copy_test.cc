// Asynchronous copies: right in every order, and wrong in one way each.
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

constexpr int kCells = 4 * 32;  // four for each lane

struct CopyParams {
  const float* in;  // [kCells]
  float* out;       // [kCells]
};

std::string Place(const std::string& mark) { return At("async_copy_test.cc", mark); }

std::string Failure(const Kernel& kernel, const SimtOptions& options = {}) {
  std::vector<float> in(kCells);
  std::vector<float> out(kCells);
  for (size_t i = 0; i < kCells; ++i) in[i] = static_cast<float>(i * i);
  SimtMemory memory;
  memory.Add("in", in.data(), kCells, SimtUse::kReadOnly);
  memory.Add("out", out.data(), kCells, SimtUse::kWriteOnce);
  memory.PoisonOutputs();
  const CopyParams params{in.data(), out.data()};
  const std::string failure = RunSimt(kernel, 1, 1024, &params, memory, options).failure;
  return failure.empty() && in != out ? "wrong number" : failure;
}

template <class Arch>
CHORUS_DEVICE void Begin(Arch& arch, const CopyParams& params, int lane) {
  auto cells = Shared<float>(arch, 0, kCells);
  arch.CopyAsync16(cells, 4 * lane, arch.Global(params.in, kCells), 4 * lane);  // <copy>
}
template <class Arch>
CHORUS_DEVICE void Use(Arch& arch, const CopyParams& params, int lane) {
  F4 values;
  Shared<float>(arch, 0, kCells).LoadTo(values, 4 * lane);  // <use>
  arch.Global(params.out, kCells).StoreFrom(values, 4 * lane);
}

// Two groups each; the second is awaited after the first was used.
template <class Arch>
CHORUS_DEVICE void OwnCopyBody(Arch& arch, const CopyParams& params) {
  Begin(arch, params, arch.Lane());
  arch.CopyCommit();
  auto spare = Shared<float>(arch, 512, kCells);
  arch.CopyAsync16(spare, 4 * arch.Lane(), arch.Global(params.in, kCells), 0);
  arch.CopyCommit();
  arch.CopyWait(1);
  Use(arch, params, arch.Lane());
  arch.CopyWait(0);
}
CHORUS_KERNEL(kOwnCopy, CopyParams, 32, 1, OwnCopyBody(arch, params))

template <class Arch>
CHORUS_DEVICE void OthersCopyBody(Arch& arch, const CopyParams& params) {
  Begin(arch, params, arch.Lane());
  arch.CopyCommit();
  arch.CopyWait(0);
  arch.Sync();
  Use(arch, params, 31 - arch.Lane());
}
CHORUS_KERNEL(kOthersCopy, CopyParams, 32, 1, OthersCopyBody(arch, params))

TEST(AsyncCopyTest, WaitedForItIsThere) {
  for (const SimtOptions& options : EveryOrder(4)) {
    EXPECT_EQ(Failure(kOwnCopy, options), "");
    EXPECT_EQ(Failure(kOthersCopy, options), "");
  }
}

// Without the shadow the numbers show that nothing lands early.
template <bool kWaits, bool kCommits, class Arch>
CHORUS_DEVICE void EarlyBody(Arch& arch, const CopyParams& params) {
  Begin(arch, params, arch.Lane());
  if (kCommits) arch.CopyCommit();
  if (kWaits) arch.CopyWait(kCommits ? 1 : 0);
  Use(arch, params, arch.Lane());
  arch.CopyCommit();
  arch.CopyWait(0);
}
CHORUS_KERNEL(kNotAwaited, CopyParams, 32, 1, EarlyBody<false, true>(arch, params))
CHORUS_KERNEL(kAwaitedTooLittle, CopyParams, 32, 1, EarlyBody<true, true>(arch, params))
CHORUS_KERNEL(kNotCommitted, CopyParams, 32, 1, EarlyBody<true, false>(arch, params))

TEST(AsyncCopyTest, UsedBeforeItsWait) {
  for (const Kernel* kernel : {&kNotAwaited, &kAwaitedTooLittle, &kNotCommitted}) {
    EXPECT_EQ(Failure(*kernel), std::string(kernel->name) + ", block 0: thread 0 at " +
                                    Place("use") +
                                    ": reads shared byte 0, while the copy of thread 0 at line " +
                                    LineOf("async_copy_test.cc", "copy") + " is under way");
    EXPECT_EQ(Failure(*kernel, {.shadow = false}), "wrong number");
  }
}

template <class Arch>
CHORUS_DEVICE void OthersCopyUnorderedBody(Arch& arch, const CopyParams& params) {
  Begin(arch, params, arch.Lane());
  arch.CopyCommit();
  arch.CopyWait(0);  // <wait>
  Use(arch, params, arch.Lane() ^ 1);
}
CHORUS_KERNEL(kOthersCopyUnordered, CopyParams, 32, 1, OthersCopyUnorderedBody(arch, params))

TEST(AsyncCopyTest, AWaitIsForOnesOwnCopies) {
  EXPECT_EQ(Failure(kOthersCopyUnordered), "kOthersCopyUnordered, block 0: thread 0 at " +
                                               Place("use") +
                                               ": reads shared byte 16, what nobody wrote");
  EXPECT_EQ(Failure(kOthersCopyUnordered, {.order = Order::kReverse}),
            "kOthersCopyUnordered, block 0: thread 31 at " + Place("use") +
                ": reads shared byte 480, what nobody wrote");
}

template <class Arch>
CHORUS_DEVICE void LateReaderBody(Arch& arch, const CopyParams& params) {
  if (arch.Warp() == 0) {
    Begin(arch, params, arch.Lane());
    arch.CopyCommit();
    arch.CopyWait(0);  // <landing>
  } else {
    Use(arch, params, arch.Lane());
  }
}
CHORUS_KERNEL(kLateReader, CopyParams, 64, 1, LateReaderBody(arch, params))

TEST(AsyncCopyTest, LandingIsAWriteOfWhoWaits) {
  EXPECT_EQ(Failure(kLateReader), "kLateReader, block 0: thread 32 at " + Place("use") +
                                      ": reads shared byte 0, what thread 0 wrote at line " +
                                      LineOf("async_copy_test.cc", "landing") +
                                      ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void ForgottenBody(Arch& arch, const CopyParams& params) {
  Begin(arch, params, arch.Lane());
  arch.CopyCommit();
}
CHORUS_KERNEL(kForgotten, CopyParams, 32, 1, ForgottenBody(arch, params))

TEST(AsyncCopyTest, UnderWayAtTheEnd) {
  EXPECT_EQ(Failure(kForgotten),
            "kForgotten, block 0: thread 0 left the kernel with 1 copies under way");
  EXPECT_EQ(Failure(kOwnCopy), "");  // an abandoned block's copies are forgotten
}

template <class Arch>
CHORUS_DEVICE void RefillBody(Arch& arch, const CopyParams& params) {
  auto cells = Shared<float>(arch, 0, kCells);
  if (arch.Warp() == 0) cells.StoreFrom(F4{}, 4 * arch.Lane());
  arch.Sync();
  if (arch.Warp() == 0) cells.Load(4 * arch.Lane());  // <reader>
  if (arch.Warp() == 1) Begin(arch, params, arch.Lane());
}
CHORUS_KERNEL(kRefill, CopyParams, 64, 1, RefillBody(arch, params))

TEST(AsyncCopyTest, BegunWhileOthersMayStillRead) {
  EXPECT_EQ(Failure(kRefill), "kRefill, block 0: thread 32 at " + Place("copy") +
                                  ": writes shared byte 0, what thread 0 read at line " +
                                  LineOf("async_copy_test.cc", "reader") +
                                  ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void OddCopyBody(Arch& arch, const CopyParams& params) {
  auto cells = Shared<float>(arch, 0, kCells);
  arch.CopyAsync16(cells, 0, arch.Global(params.in, kCells), 2);  // <odd source>
}
CHORUS_KERNEL(kOddCopy, CopyParams, 32, 1, OddCopyBody(arch, params))

template <class Arch>
CHORUS_DEVICE void SharedCopyBody(Arch& arch, const CopyParams&) {
  auto cells = Shared<float>(arch, 0, kCells);
  arch.CopyAsync16(cells, 0, cells, 4);  // <from shared>
}
CHORUS_KERNEL(kSharedCopy, CopyParams, 32, 1, SharedCopyBody(arch, params))

template <class Arch>
CHORUS_DEVICE void LongWaitBody(Arch& arch, const CopyParams&) {
  arch.CopyWait(4);  // <four>
}
CHORUS_KERNEL(kLongWait, CopyParams, 32, 1, LongWaitBody(arch, params))

TEST(AsyncCopyTest, WhatTheHardwareHasNoWordFor) {
  EXPECT_EQ(Failure(kOddCopy), "kOddCopy, block 0: thread 0 at " + Place("odd source") +
                                   ": 16 misaligned bytes at index 2 in in");
  EXPECT_EQ(Failure(kSharedCopy), "kSharedCopy, block 0: CopyAsync16 at " + Place("from shared") +
                                      " is not from global to shared memory");
  EXPECT_EQ(Failure(kLongWait),
            "kLongWait, block 0: CopyWait(4) at " + Place("four") + " takes 0 to 3");
}

}  // namespace
}  // namespace chorus::kernels
