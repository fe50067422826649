// Bulk copies and mbarriers: right in every order, and wrong in one way each.
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

constexpr int kCells = 128;
constexpr int kBytes = kCells * 4;
constexpr int kBarOffset = 2 * kBytes;  // two mbarriers behind two stages
constexpr int kSharedBytes = kBarOffset + 16;

struct BulkParams {
  const float* in;  // [kCells]
  float* out;       // [kCells]
};

#define BULK_KERNEL(name, threads, ...) \
  CHORUS_KERNEL(k##name, BulkParams, threads, 1, __VA_ARGS__(arch, params))

std::string Place(const std::string& mark) { return At("bulk_copy_test.cc", mark); }
std::string Line(const std::string& mark) { return LineOf("bulk_copy_test.cc", mark); }

std::string Failure(const Kernel& kernel, const SimtOptions& options = {}) {
  std::vector<float> in(kCells);
  std::vector<float> out(kCells);
  for (size_t i = 0; i < kCells; ++i) in[i] = static_cast<float>(i * i + 1);
  SimtMemory memory;
  memory.Add("in", in.data(), kCells, SimtUse::kReadOnly);
  memory.Add("out", out.data(), kCells, SimtUse::kWriteOnce);
  memory.PoisonOutputs();
  const BulkParams params{in.data(), out.data()};
  const std::string failure = RunSimt(kernel, 1, kSharedBytes, &params, memory, options).failure;
  return failure.empty() && in != out ? "wrong number" : failure;
}

template <class Arch>
CHORUS_DEVICE auto Bars(Arch& arch) {
  return Shared<uint64_t>(arch, kBarOffset, 2);
}
template <class Arch>
CHORUS_DEVICE auto Stage(Arch& arch, int stage) {
  return Shared<float>(arch, stage * kBytes, kCells);
}
// Mbarrier 0, one arrival a phase.
template <class Arch>
CHORUS_DEVICE void Init(Arch& arch) {
  if (arch.Thread() == 0) {
    arch.BarInit(Bars(arch), 0, 1);  // <init>
    arch.BarFence();
  }
  arch.Sync();
}
template <class Arch>
CHORUS_DEVICE void Begin(Arch& arch, const BulkParams& params, int thread = 0) {
  if (arch.Thread() != thread) return;
  arch.BarArriveExpect(Bars(arch), 0, kBytes);
  arch.Bulk(Stage(arch, 0), 0, arch.Global(params.in, kCells), 0, kBytes, Bars(arch), 0);  // <bulk>
}
// Cells 4 · `lane` to 4 · `lane` + 3.
template <class Arch>
CHORUS_DEVICE void Use(Arch& arch, const BulkParams& params, int lane) {
  F4 values;
  Stage(arch, 0).LoadTo(values, 4 * lane);  // <use>
  arch.Global(params.out, kCells).StoreFrom(values, 4 * lane);
}

template <class Arch>
CHORUS_DEVICE void AllWaitBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  Begin(arch, params);
  arch.BarWait(Bars(arch), 0, 0);
  if (arch.Warp() == 1) Use(arch, params, arch.Lane());
}
BULK_KERNEL(AllWait, 64, AllWaitBody)

TEST(BulkCopyTest, WaitedForItIsThere) {
  for (const SimtOptions& options : EveryOrder(4)) EXPECT_EQ(Failure(kAllWait, options), "");
}

template <class Arch>
CHORUS_DEVICE void NotAwaitedBody(Arch& arch, const BulkParams& params) {
  Init(arch);
  Begin(arch, params);
  arch.SyncWarp();
  Use(arch, params, arch.Lane());
  arch.BarWait(Bars(arch), 0, 0);
}
BULK_KERNEL(NotAwaited, 32, NotAwaitedBody)

TEST(BulkCopyTest, UsedBeforeItsWait) {
  EXPECT_EQ(Failure(kNotAwaited), "kNotAwaited, block 0: thread 0 at " + Place("use") +
                                      ": reads shared byte 0, while the copy of thread 0 at line " +
                                      Line("bulk") + " is under way");
  EXPECT_EQ(Failure(kNotAwaited, {.shadow = false}), "wrong number");
}

template <class Arch>
CHORUS_DEVICE void UnfencedBody(Arch& arch, const BulkParams& params) {
  if (arch.Thread() == 0) arch.BarInit(Bars(arch), 0, 1);
  arch.Sync();
  Begin(arch, params);
}
BULK_KERNEL(Unfenced, 32, UnfencedBody)

TEST(BulkCopyTest, TheCopyEngineMustKnowTheMbarrier) {
  EXPECT_EQ(Failure(kUnfenced),
            "kUnfenced, block 0: thread 0 at " + Place("bulk") +
                ": no BarFence since the BarInit of the mbarrier at shared byte 1024");
}

}  // namespace
}  // namespace chorus::kernels
