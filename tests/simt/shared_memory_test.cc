// Kernels that use shared memory wrongly in one way each, and what the executor says of them.
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

struct CellParams {
  const float* in;  // [64]
  float* out;       // [64]
};

#define CELL_KERNEL(name, threads) \
  CHORUS_KERNEL(k##name, CellParams, threads, 1, name##Body(arch, params))

std::string Place(const std::string& mark) { return At("shared_memory_test.cc", mark); }
std::string Line(const std::string& mark) { return LineOf("shared_memory_test.cc", mark); }

std::string Failure(const Kernel& kernel, const SimtOptions& options = {}, int blocks = 1) {
  std::vector<float> in(64);
  std::vector<float> out(64);
  for (size_t i = 0; i < 64; ++i) in[i] = static_cast<float>(i);
  SimtMemory memory;
  memory.Add("in", in.data(), 64, SimtUse::kReadOnly);
  memory.Add("out", out.data(), 64, SimtUse::kUncheckedReadWrite);
  const CellParams params{in.data(), out.data()};
  return RunSimt(kernel, blocks, 512, &params, memory, options).failure;
}

template <class Arch>
CHORUS_DEVICE void WriteThenReadBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 32);
  if (arch.Warp() == 0) cells.Store(arch.Lane(), 1.0f);  // <race write>
  if (arch.Warp() == 1) cells.Load(arch.Lane());         // <race read>
}
CELL_KERNEL(WriteThenRead, 64)

TEST(SharedMemoryTest, ReadWithoutSyncOfWhatAnotherWarpWrote) {
  EXPECT_EQ(Failure(kWriteThenRead), "kWriteThenRead, block 0: thread 32 at " + Place("race read") +
                                         ": reads shared byte 0, what thread 0 wrote at line " +
                                         Line("race write") + ", with no Sync between");
  // The reader first: nothing is there yet.
  EXPECT_EQ(Failure(kWriteThenRead, {.order = Order::kReverse}),
            "kWriteThenRead, block 0: thread 63 at " + Place("race read") +
                ": reads shared byte 124, what nobody wrote");
  EXPECT_EQ(Failure(kWriteThenRead, {.shadow = false}), "");
}

template <class Arch>
CHORUS_DEVICE void ReadThenWriteBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 64);
  cells.Store(arch.Thread(), 1.0f);
  arch.Sync();
  cells.Load(arch.Thread() ^ 32);    // <early read>
  cells.Store(arch.Thread(), 2.0f);  // <late write>
}
CELL_KERNEL(ReadThenWrite, 64)

TEST(SharedMemoryTest, WriteWithoutSyncOfWhatAnotherWarpRead) {
  EXPECT_EQ(Failure(kReadThenWrite), "kReadThenWrite, block 0: thread 32 at " +
                                         Place("early read") +
                                         ": reads shared byte 0, what thread 0 wrote at line " +
                                         Line("late write") + ", with no Sync between");
  EXPECT_EQ(Failure(kReadThenWrite, {.order = Order::kAhead, .chosen_warp = 1}),
            "kReadThenWrite, block 0: thread 0 at " + Place("early read") +
                ": reads shared byte 128, what thread 32 wrote at line " + Line("late write") +
                ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void OverwriteBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 64);
  cells.Store(arch.Thread(), 1.0f);
  arch.Sync();
  if (arch.Warp() == 0) cells.Load(63);                       // <all read>
  if (arch.Thread() == 0) cells.Load(62);                     // <one reads>
  if (arch.Thread() >= 62) cells.Store(arch.Thread(), 2.0f);  // <overwrite>
}
CELL_KERNEL(Overwrite, 64)

TEST(SharedMemoryTest, WriteOfWhatWasReadInTheSameInterval) {
  EXPECT_EQ(Failure(kOverwrite), "kOverwrite, block 0: thread 62 at " + Place("overwrite") +
                                     ": writes shared byte 248, what thread 0 read at line " +
                                     Line("one reads") + ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void OverwriteSeveralBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 64);
  cells.Store(arch.Thread(), 1.0f);
  arch.Sync();
  if (arch.Thread() < 63) cells.Load(63);                     // <several read>
  if (arch.Thread() == 63) cells.Store(arch.Thread(), 2.0f);  // <overwrite several>
}
CELL_KERNEL(OverwriteSeveral, 64)

TEST(SharedMemoryTest, WriteOfWhatSeveralReadInTheSameInterval) {
  EXPECT_EQ(Failure(kOverwriteSeveral),
            "kOverwriteSeveral, block 0: thread 63 at " + Place("overwrite several") +
                ": writes shared byte 252, what several threads read at line " +
                Line("several read") + ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void WriteTwiceBody(Arch& arch, const CellParams&) {
  Shared<float>(arch, 0, 1).Store(0, 1.0f);  // <same cell>
  arch.Sync();
}
CELL_KERNEL(WriteTwice, 64)

TEST(SharedMemoryTest, TwoThreadsWriteOneCell) {
  EXPECT_EQ(Failure(kWriteTwice), "kWriteTwice, block 0: thread 1 at " + Place("same cell") +
                                      ": writes shared byte 0, what thread 0 wrote at line " +
                                      Line("same cell") + ", with no SyncWarp between");
}

template <class Arch>
CHORUS_DEVICE void NeighboursBody(Arch& arch, const CellParams& params) {
  auto halves = Shared<uint16_t>(arch, 0, 64);
  halves.Store(arch.Thread(), arch.Thread() * 3);
  arch.Sync();
  const float value = halves.Load(63 - arch.Thread());
  arch.Global(params.out, 64).Store(arch.Thread(), value);
}
CELL_KERNEL(Neighbours, 64)

TEST(SharedMemoryTest, NeighboursInOneWordAreNoConflict) {
  for (const SimtOptions& options : EveryOrder(3)) EXPECT_EQ(Failure(kNeighbours, options), "");
}

// A shuffle in the place of a SyncWarp: lanes meet, memory is not ordered.
template <bool kSyncs, class Arch>
CHORUS_DEVICE void ExchangeBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 64);
  cells.Store(arch.Thread(), 1.0f);  // <before shuffle>
  arch.ShflXor(1.0f, 1);
  if (kSyncs) arch.SyncWarp();
  const float value = cells.Load(arch.Thread() ^ 1);  // <after shuffle>
  if (kSyncs) arch.SyncWarp();
  cells.Store(arch.Thread(), value);
}
CHORUS_KERNEL(kUnorderedExchange, CellParams, 64, 1, ExchangeBody<false>(arch, params))
CHORUS_KERNEL(kExchange, CellParams, 64, 1, ExchangeBody<true>(arch, params))

TEST(SharedMemoryTest, ReadWithoutSyncWarpOfWhatAnotherLaneWrote) {
  EXPECT_EQ(Failure(kUnorderedExchange),
            "kUnorderedExchange, block 0: thread 31 at " + Place("after shuffle") +
                ": reads shared byte 120, what thread 30 wrote at line " + Line("before shuffle") +
                ", with no SyncWarp between");
  for (const SimtOptions& options : EveryOrder(2)) EXPECT_EQ(Failure(kExchange, options), "");
}

template <class Arch>
CHORUS_DEVICE void SyncWarpForBlockBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 32);
  if (arch.Warp() == 0) cells.Store(arch.Lane(), 1.0f);  // <before SyncWarp>
  arch.SyncWarp();
  if (arch.Warp() == 1) cells.Load(arch.Lane());  // <after SyncWarp>
}
CELL_KERNEL(SyncWarpForBlock, 64)

TEST(SharedMemoryTest, SyncWarpOrdersNoOtherWarp) {
  EXPECT_EQ(Failure(kSyncWarpForBlock), "kSyncWarpForBlock, block 0: thread 32 at " +
                                            Place("after SyncWarp") +
                                            ": reads shared byte 0, what thread 0 wrote at line " +
                                            Line("before SyncWarp") + ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void LeftoverBody(Arch& arch, const CellParams&) {
  auto cells = Shared<float>(arch, 0, 32);
  if (arch.Block() == 0) cells.Store(arch.Thread(), 1.0f);
  if (arch.Block() == 1) cells.Load(arch.Thread());  // <leftover>
}
CELL_KERNEL(Leftover, 32)

TEST(SharedMemoryTest, ReadOfWhatOnlyAnEarlierBlockWrote) {
  EXPECT_EQ(Failure(kLeftover, {}, 2), "kLeftover, block 1: thread 0 at " + Place("leftover") +
                                           ": reads shared byte 0, what nobody wrote");
}

template <class Arch>
CHORUS_DEVICE void CountBody(Arch& arch, const CellParams&) {
  auto count = Shared<int32_t>(arch, 0, 1);
  if (arch.Thread() == 0) count.Store(0, 0);
  arch.Sync();
  arch.AtomicAdd(count, 0, 1);             // <count>
  if (arch.Thread() == 63) count.Load(0);  // <read count>
}
CELL_KERNEL(Count, 64)

TEST(SharedMemoryTest, AtomicsDoNotConflictWithEachOtherButWithReads) {
  EXPECT_EQ(Failure(kCount), "kCount, block 0: thread 63 at " + Place("read count") +
                                 ": reads shared byte 0, what several threads changed at line " +
                                 Line("count") + ", with no Sync between");
}

template <class Arch>
CHORUS_DEVICE void PastSharedBody(Arch& arch, const CellParams&) {
  Shared<float>(arch, 256, 8).Store(arch.Thread(), 1.0f);  // <past shared span>
}
CELL_KERNEL(PastShared, 32)

template <class Arch>
CHORUS_DEVICE void PastBlockBody(Arch& arch, const CellParams&) {
  Shared<float>(arch, 384, 33);  // <past shared memory>
}
CELL_KERNEL(PastBlock, 32)

template <class Arch>
CHORUS_DEVICE void MisalignedSharedBody(Arch& arch, const CellParams&) {
  Shared<float>(arch, 0, 8).StoreFrom(F4{}, 2);  // <misaligned shared>
}
CELL_KERNEL(MisalignedShared, 32)

TEST(SharedMemoryTest, SpansHaveEnds) {
  EXPECT_EQ(Failure(kPastShared), "kPastShared, block 0: thread 8 at " + Place("past shared span") +
                                      ": index 8 of 8 in shared memory");
  EXPECT_EQ(Failure(kPastBlock),
            "kPastBlock, block 0: shared bytes 384 to 516 of 512, aligned to 4, at " +
                Place("past shared memory"));
  EXPECT_EQ(Failure(kMisalignedShared), "kMisalignedShared, block 0: thread 0 at " +
                                            Place("misaligned shared") +
                                            ": 16 misaligned bytes at index 2 in shared memory");
}

}  // namespace
}  // namespace chorus::kernels
