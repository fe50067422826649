// Kernels that use global memory wrongly in one way each, and what the executor says of them.
#include <numeric>

#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

struct BufferParams {
  const float* in;    // [64]
  float* out;         // [64] written once
  float* state;       // [64]
  int32_t* counters;  // [4]
  uint32_t* largest;  // [1]
  Bf16* halves;       // [64] written once
};

#define BUFFER_KERNEL(name) CHORUS_KERNEL(k##name, BufferParams, 32, 1, name##Body(arch, params))

std::string Place(const std::string& mark) { return At("global_memory_test.cc", mark); }

struct Buffers {
  Buffers() {
    std::iota(in.begin(), in.end(), 0.0f);
    memory.Add("in", in.data(), 64, SimtUse::kReadOnly);
    memory.Add("out", out.data(), 64, SimtUse::kWriteOnce);
    memory.Add("state", state.data(), 64, SimtUse::kReadWrite);
    memory.Add("counters", counters.data(), 4, SimtUse::kReadWrite);
    memory.Add("largest", &largest, 1, SimtUse::kReadWrite);
    memory.Add("halves", halves.data(), 64, SimtUse::kWriteOnce);
  }
  std::string Run(const Kernel& kernel, int blocks = 1, const SimtOptions& options = {}) {
    const BufferParams params{in.data(),       out.data(), state.data(),
                              counters.data(), &largest,   halves.data()};
    return RunSimt(kernel, blocks, 0, &params, memory, options).failure;
  }

  alignas(16) std::array<float, 64> in{}, out{}, state{};
  alignas(16) std::array<Bf16, 64> halves{};
  std::array<int32_t, 4> counters{};
  uint32_t largest = 5;
  SimtMemory memory;
};

std::string Failure(const Kernel& kernel, int blocks = 1, const SimtOptions& options = {}) {
  return Buffers().Run(kernel, blocks, options);
}

template <class Arch>
CHORUS_DEVICE void PastEndBody(Arch& arch, const BufferParams& params) {
  arch.Global(params.in, 31).Load(arch.Thread());  // <past end>
}
BUFFER_KERNEL(PastEnd)

template <class Arch>
CHORUS_DEVICE void BeforeBeginBody(Arch& arch, const BufferParams& params) {
  arch.Global(params.in, 64).Load(arch.Thread() - 1);  // <before begin>
}
BUFFER_KERNEL(BeforeBegin)

template <class Arch>
CHORUS_DEVICE void HalfPastEndBody(Arch& arch, const BufferParams& params) {
  F4 values;
  arch.Global(params.in, 62).LoadTo(values, 60);  // <half past end>
}
BUFFER_KERNEL(HalfPastEnd)

template <class Arch>
CHORUS_DEVICE void LongSpanBody(Arch& arch, const BufferParams& params) {
  arch.Global(params.in, 65);  // <long span>
}
BUFFER_KERNEL(LongSpan)

template <class Arch>
CHORUS_DEVICE void NullBody(Arch& arch, const BufferParams&) {
  auto nothing = arch.Global(static_cast<const float*>(nullptr), 8);
  if (arch.Thread() == 3) nothing.Load(0);  // <null>
}
BUFFER_KERNEL(Null)

TEST(GlobalMemoryTest, SpansHaveEnds) {
  EXPECT_EQ(Failure(kPastEnd),
            "kPastEnd, block 0: thread 31 at " + Place("past end") + ": index 31 of 31 in in");
  EXPECT_EQ(Failure(kBeforeBegin), "kBeforeBegin, block 0: thread 0 at " + Place("before begin") +
                                       ": index -1 of 64 in in");
  EXPECT_EQ(Failure(kHalfPastEnd), "kHalfPastEnd, block 0: thread 0 at " + Place("half past end") +
                                       ": index 60 of 62 in in");
  EXPECT_EQ(
      Failure(kLongSpan),
      "kLongSpan, block 0: no buffer holds the 260 bytes of the span at " + Place("long span"));
  EXPECT_EQ(Failure(kNull),
            "kNull, block 0: thread 3 at " + Place("null") + ": index 0 of 0 in a null pointer");
}

template <class Arch>
CHORUS_DEVICE void MisalignedBody(Arch& arch, const BufferParams& params) {
  F2 values;
  arch.Global(params.in, 64).LoadTo(values, 2 + arch.Thread());  // <misaligned>
}
BUFFER_KERNEL(Misaligned)

TEST(GlobalMemoryTest, VectorsAreAligned) {
  EXPECT_EQ(Failure(kMisaligned), "kMisaligned, block 0: thread 1 at " + Place("misaligned") +
                                      ": 8 misaligned bytes at index 3 in in");
}

template <class Arch>
CHORUS_DEVICE void WriteInputBody(Arch& arch, const BufferParams& params) {
  arch.Global(const_cast<float*>(params.in), 64).Store(7, 1.0f);  // <write input>
}
BUFFER_KERNEL(WriteInput)

template <class Arch>
CHORUS_DEVICE void StreamStateBody(Arch& arch, const BufferParams& params) {
  U4 values;
  auto state = arch.Global(params.state, 64);
  if (arch.Thread() == 0) state.StreamTo(values, 60);
  if (arch.Thread() == 1) state.Store(6, 1.0f);
  if (arch.Thread() == 2) state.StreamTo(values, 4);  // <stream state>
}
BUFFER_KERNEL(StreamState)

TEST(GlobalMemoryTest, InputsAreReadOnly) {
  EXPECT_EQ(Failure(kWriteInput), "kWriteInput, block 0: thread 0 at " + Place("write input") +
                                      ": writes byte 28 of in, which is read-only");
  // A block's own writes may not have arrived where a stream reads.
  EXPECT_EQ(Failure(kStreamState), "kStreamState, block 0: thread 2 at " + Place("stream state") +
                                       ": streams byte 16 of state, which block 0 wrote");
}

template <class Arch>
CHORUS_DEVICE void WriteOutputTwiceBody(Arch& arch, const BufferParams& params) {
  arch.Global(params.out, 64).Store(arch.Thread() % 31, 1.0f);  // <write twice>
}
BUFFER_KERNEL(WriteOutputTwice)

TEST(GlobalMemoryTest, OutputsAreWrittenOnceALaunch) {
  EXPECT_EQ(Failure(kWriteOutputTwice),
            "kWriteOutputTwice, block 0: thread 31 at " + Place("write twice") +
                ": writes byte 0 of out, which block 0 wrote before, and outputs are written once");
}

// Every block a cell of its own, in words that two of them share.
template <class Arch>
CHORUS_DEVICE void OwnCellBody(Arch& arch, const BufferParams& params) {
  const int cell = arch.Block() * 32 + arch.Thread();
  if (cell < 64) arch.Global(params.out, 64).Store(cell, 2.0f);
  if (arch.Thread() == 0) arch.Global(params.halves, 64).Store(arch.Block(), Bf16{0x3f80});
  auto state = arch.Global(params.state, 64);
  state.Store(arch.Thread() % 32, state.Load(arch.Thread()) + 1.0f);
}
BUFFER_KERNEL(OwnCell)

TEST(GlobalMemoryTest, ALaunchKnowsNothingOfTheOneBefore) {
  Buffers buffers;
  EXPECT_EQ(buffers.Run(kOwnCell), "");
  EXPECT_EQ(buffers.Run(kOwnCell), "");
  EXPECT_EQ(buffers.state[31], 2.0f);
  buffers.memory.PoisonOutputs();
  EXPECT_TRUE(std::isnan(buffers.out[0]));
  EXPECT_EQ(buffers.state[31], 2.0f);
}

template <class Arch>
CHORUS_DEVICE void OwnHalfBody(Arch& arch, const BufferParams& params) {
  if (arch.Thread() == 0) arch.Global(params.halves, 64).Store(arch.Block(), Bf16{0x3f80});
}
BUFFER_KERNEL(OwnHalf)

TEST(GlobalMemoryTest, BlocksMayWriteNeighboursInOneWord) { EXPECT_EQ(Failure(kOwnHalf, 64), ""); }

template <class Arch>
CHORUS_DEVICE void BothWriteBody(Arch& arch, const BufferParams& params) {
  arch.Global(params.state, 64).Store(arch.Block() * 31 + arch.Thread(), 1.0f);  // <both write>
}
BUFFER_KERNEL(BothWrite)

template <class Arch>
CHORUS_DEVICE void OneReadsBody(Arch& arch, const BufferParams& params) {
  auto state = arch.Global(params.state, 64);
  if (arch.Block() == 1 && arch.Thread() == 9) state.Store(9, 1.0f);  // <one writes>
  if (arch.Block() != 1 && arch.Thread() == 9) state.Load(9);         // <another reads>
}
BUFFER_KERNEL(OneReads)

TEST(GlobalMemoryTest, BlocksAreUnordered) {
  EXPECT_EQ(Failure(kBothWrite, 2), "kBothWrite, block 1: thread 0 at " + Place("both write") +
                                        ": writes byte 124 of state, which block 0 wrote");
  EXPECT_EQ(Failure(kOneReads, 2), "kOneReads, block 1: thread 9 at " + Place("one writes") +
                                       ": writes byte 36 of state, which block 0 read");
  EXPECT_EQ(Failure(kOneReads, 3, {.order = Order::kReverse}),
            "kOneReads, block 1: thread 9 at " + Place("one writes") +
                ": writes byte 36 of state, which block 2 read");
  EXPECT_EQ(Failure(kOneReads, 2, {.order = Order::kReverse}),
            "kOneReads, block 0: thread 9 at " + Place("another reads") +
                ": reads byte 36 of state, which block 1 wrote");
  EXPECT_EQ(Failure(kOneReads, 3, {.order = Order::kBehind, .chosen_warp = 1}),
            "kOneReads, block 1: thread 9 at " + Place("one writes") +
                ": writes byte 36 of state, which several blocks read");
}

TEST(GlobalMemoryTest, AnUncheckedBufferIsOnlyBounded) {
  Buffers buffers;
  buffers.memory.Remove(buffers.state.data());
  buffers.memory.Add("state", buffers.state.data(), 64, SimtUse::kUncheckedReadWrite);
  EXPECT_EQ(buffers.Run(kBothWrite, 2), "");
  EXPECT_EQ(buffers.Run(kBothWrite, 3), "kBothWrite, block 2: thread 2 at " + Place("both write") +
                                            ": index 64 of 64 in state");
}

template <class Arch>
CHORUS_DEVICE void CountBody(Arch& arch, const BufferParams& params) {
  auto counters = arch.Global(params.counters, 4);
  const int32_t before = arch.AtomicAdd(counters, 0, arch.Thread());
  arch.AtomicAdd(counters, 1, -1);
  arch.AtomicMax(arch.Global(params.largest, 1), 0, static_cast<uint32_t>(arch.Block() * 40));
  if (arch.Block() == 2 && arch.Thread() == 0) counters.Store(2, before);
}
BUFFER_KERNEL(Count)

template <class Arch>
CHORUS_DEVICE void ReadCountBody(Arch& arch, const BufferParams& params) {
  auto counters = arch.Global(params.counters, 4);
  arch.AtomicAdd(counters, 0, 1);
  if (arch.Block() == 1) counters.Load(0);  // <read count>
}
BUFFER_KERNEL(ReadCount)

TEST(GlobalMemoryTest, AtomicsOfSeveralBlocks) {
  Buffers buffers;
  EXPECT_EQ(buffers.Run(kCount, 3), "");
  EXPECT_EQ(buffers.counters[0], 3 * 31 * 16);
  EXPECT_EQ(buffers.counters[1], -96);
  EXPECT_EQ(buffers.counters[2], 2 * 31 * 16);  // what the first of block 2 found
  EXPECT_EQ(buffers.largest, 80u);
  EXPECT_EQ(buffers.Run(kCount, 1), "");
  EXPECT_EQ(buffers.largest, 80u);
  EXPECT_EQ(Failure(kReadCount, 2), "kReadCount, block 1: thread 0 at " + Place("read count") +
                                        ": reads byte 0 of counters, which several blocks changed");
}

TEST(SimtMemoryTest, FindsTheBufferThatHoldsAllOfASpan) {
  std::array<float, 16> cells{};
  SimtMemory memory;
  memory.Add("low", cells.data(), 8, SimtUse::kReadOnly);
  memory.Add("high", cells.data() + 8, 4, SimtUse::kReadOnly);
  EXPECT_STREQ(memory.Find(cells.data() + 7, 4)->name(), "low");
  EXPECT_STREQ(memory.Find(cells.data() + 8, 16)->name(), "high");
  EXPECT_EQ(memory.Find(cells.data() + 7, 8), nullptr);   // across both
  EXPECT_EQ(memory.Find(cells.data() + 12, 4), nullptr);  // behind
  EXPECT_DEATH(memory.Add("over", cells.data() + 11, 2, SimtUse::kReadOnly), "check failed");
  EXPECT_DEATH(memory.Remove(cells.data() + 1), "check failed");
}

}  // namespace
}  // namespace chorus::kernels
