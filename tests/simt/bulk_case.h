// What the tests of bulk copies share: kernels of one copy on one mbarrier.
#ifndef CHORUS_TESTS_SIMT_BULK_CASE_H_
#define CHORUS_TESTS_SIMT_BULK_CASE_H_

#include <string>
#include <vector>

#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {

constexpr int kBulkCells = 128;
constexpr int kBulkBytes = kBulkCells * 4;
constexpr int kBulkBarOffset = 2 * kBulkBytes;  // two mbarriers behind two stages
constexpr int kBulkSharedBytes = kBulkBarOffset + 16;

struct BulkParams {
  const float* in;  // [kBulkCells]
  float* out;       // [kBulkCells] the same, from a kernel that does it right
};

#define BULK_KERNEL(name, threads, ...) \
  CHORUS_KERNEL(k##name, BulkParams, threads, 1, __VA_ARGS__(arch, params))

// Of one block: "", what the executor found, or "wrong number".
inline std::string BulkFailure(const Kernel& kernel, const SimtOptions& options = {}) {
  std::vector<float> in(kBulkCells);
  std::vector<float> out(kBulkCells);
  for (size_t i = 0; i < kBulkCells; ++i) in[i] = static_cast<float>(i * i + 1);
  SimtMemory memory;
  memory.Add("in", in.data(), kBulkCells, SimtUse::kReadOnly);
  memory.Add("out", out.data(), kBulkCells, SimtUse::kWriteOnce);
  memory.PoisonOutputs();
  const BulkParams params{in.data(), out.data()};
  const std::string failure =
      RunSimt(kernel, 1, kBulkSharedBytes, &params, memory, options).failure;
  return failure.empty() && in != out ? "wrong number" : failure;
}

template <class Arch>
CHORUS_DEVICE auto Bars(Arch& arch) {
  return Shared<uint64_t>(arch, kBulkBarOffset, 2);
}
template <class Arch>
CHORUS_DEVICE auto Stage(Arch& arch, int stage) {
  return Shared<float>(arch, stage * kBulkBytes, kBulkCells);
}
// Both mbarriers, phases of `count` arrivals.
template <class Arch>
CHORUS_DEVICE void Init(Arch& arch, int count = 1) {
  if (arch.Thread() == 0) {
    arch.BarInit(Bars(arch), 0, count);  // <init>
    arch.BarInit(Bars(arch), 1, count);
    arch.BarFence();  // <fence>
  }
  arch.Sync();
}
// By one thread: all of `in` into a stage, counted by mbarrier 0.
template <class Arch>
CHORUS_DEVICE void Copy(Arch& arch, const BulkParams& params, int stage = 0) {
  auto in = arch.Global(params.in, kBulkCells);
  arch.Bulk(Stage(arch, stage), 0, in, 0, kBulkBytes, Bars(arch), 0);  // <bulk>
}
template <class Arch>
CHORUS_DEVICE void Begin(Arch& arch, const BulkParams& params) {
  arch.BarArriveExpect(Bars(arch), 0, kBulkBytes);  // <arrive>
  Copy(arch, params);
}
// Cells 4 · lane to 4 · lane + 3 of stage 0.
template <class Arch>
CHORUS_DEVICE F4 Read(Arch& arch) {
  F4 values;
  Stage(arch, 0).LoadTo(values, 4 * arch.Lane());  // <read>
  return values;
}
template <class Arch>
CHORUS_DEVICE void Use(Arch& arch, const BulkParams& params) {
  arch.Global(params.out, kBulkCells).StoreFrom(Read(arch), 4 * arch.Lane());
}

// Of this file.
inline std::string BulkPlace(const std::string& mark) { return At("bulk_case.h", mark); }
inline std::string BulkLine(const std::string& mark) { return LineOf("bulk_case.h", mark); }

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_BULK_CASE_H_
