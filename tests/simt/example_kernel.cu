#include "kernels/device/arch.h"
#include "kernels/device/device_code.h"
#include "tests/simt/example_kernel.h"

namespace chorus::kernels {
namespace {

constexpr int kStageElements = kExampleColumns * 16;
constexpr int kScratch = kExampleStages * kStageElements * 2;  // byte

// Step `step` of w into its stage: 8 columns of 16 inputs, of which the last step may have 8.
template <class T, class Arch>
CHORUS_DEVICE void FetchStep(Arch& arch, const ExampleParams<T>& params, int step) {
  auto w = arch.Global(params.w, int64_t{kExampleColumns} * params.k);
  auto ring = Shared<T>(arch, 0, kExampleStages * kStageElements);
  const int column = arch.Thread() / 2, input = step * 16 + arch.Thread() % 2 * 8;
  if (arch.Thread() < 2 * kExampleColumns && arch.Guard(input < params.k)) {
    arch.CopyAsync16(ring, step % kExampleStages * kStageElements + arch.Thread() * 8, w,
                     int64_t{column} * params.k + input);
  }
  arch.CopyCommit();
}

// The warp's 16 rows times w.
template <class T, class Arch>
CHORUS_DEVICE void Multiply(Arch& arch, const ExampleParams<T>& params, int row, float (&d)[4]) {
  const int g = arch.Lane() / 4, t = arch.Lane() % 4;
  auto x = arch.Global(params.x, int64_t{params.rows} * params.k);
  auto stage_words = Shared<uint32_t>(arch, 0, kExampleStages * kStageElements / 2);
  const int steps = DivideUp(params.k, 16);
  for (int step = 0; step < kExampleStages - 1; ++step) FetchStep(arch, params, step);
  CHORUS_NO_UNROLL for (int step = 0; step < steps; ++step) {
    arch.CopyWait(kExampleStages - 2);
    arch.Sync();  // the step is there for all, and all have left the stage that is filled next
    FetchStep(arch, params, step + kExampleStages - 1);
    uint32_t a[4] = {0, 0, 0, 0};
    const bool whole = step * 16 + 16 <= params.k;
    CHORUS_UNROLL for (int half = 0; half < 2; ++half) {
      const int64_t at = int64_t{row + g} * params.k + step * 16 + half * 8 + t * 2;
      const bool inside = half == 0 || whole;
      if (arch.Guard(row + g < params.rows) && inside) x.LoadTo(a[2 * half], at);
      if (arch.Guard(row + g + 8 < params.rows) && inside) {
        x.LoadTo(a[2 * half + 1], at + int64_t{8} * params.k);
      }
    }
    const int word = step % kExampleStages * kStageElements / 2 + g * 8 + t;
    if (whole) {
      arch.Mma16816(T{}, d, a[0], a[1], a[2], a[3], stage_words.Load(word),
                    stage_words.Load(word + 4));
    } else {
      arch.Mma1688(T{}, d, a[0], a[1], stage_words.Load(word));
    }
  }
}

// Lane l stores row l / 2 of the warp's, columns 4 · (l % 2) on.
template <class T, class Arch>
CHORUS_DEVICE void StoreRows(Arch& arch, const ExampleParams<T>& params, int row, const F4& sums) {
  auto y = arch.Global(params.y, int64_t{params.rows} * kExampleColumns);
  auto rounded = arch.Global(reinterpret_cast<uint32_t*>(params.rounded),
                             int64_t{params.rows} * kExampleColumns / 2);
  const float scale = arch.Rsqrt(static_cast<float>(params.k));
  const auto squash = [&](float sum) { return arch.Log(1.0f + arch.Exp(sum * scale)); };
  const F4 values{squash(sums.x), squash(sums.y), squash(sums.z), squash(sums.w)};
  const uint32_t packed[2] = {arch.Pack(T{}, values.x, values.y),
                              arch.Pack(T{}, values.z, values.w)};
  const F2 low = arch.Unpack(T{}, packed[0]), high = arch.Unpack(T{}, packed[1]);
  float largest = Max(Max(low.x, low.y), Max(high.x, high.y));
  largest = Max(largest, arch.ShflXor(largest, 1));
  const bool mine = row < params.rows;
  if (arch.Guard(mine)) {
    const int64_t at = int64_t{row} * kExampleColumns + arch.Lane() % 2 * 4;
    y.StoreFrom(values, at);
    rounded.Store(at / 2, packed[0]);
    rounded.Store(at / 2 + 1, packed[1]);
    arch.AtomicMax(arch.Global(params.largest, 1), 0, __builtin_bit_cast(uint32_t, largest));
  }
  const uint32_t rows = arch.Ballot(mine && arch.Lane() % 2 == 0);
  int count = 0;
  CHORUS_UNROLL for (int lane = 0; lane < kWarpThreads; lane += 2) count += rows >> lane & 1u;
  const auto total = static_cast<int32_t>(arch.Shfl(static_cast<uint32_t>(count), 0));
  if (arch.Lane() == 0) arch.AtomicAdd(arch.Global(params.stored, 1), 0, total);
}

template <class T, class Arch>
CHORUS_DEVICE void ExampleBody(Arch& arch, const ExampleParams<T>& params) {
  const int g = arch.Lane() / 4, t = arch.Lane() % 4;
  auto scratch =
      Shared<float>(arch, kScratch + arch.Warp() * 16 * kExampleColumns * 4, 16 * kExampleColumns);
  const int groups = DivideUp(params.rows, kExampleRowsPerGroup);
  for (int group = arch.Block(); group < groups; group += arch.Grid()) {
    const int row = group * kExampleRowsPerGroup + arch.Warp() * 16;
    float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    Multiply(arch, params, row, d);
    scratch.StoreFrom(F2{d[0], d[1]}, g * kExampleColumns + t * 2);
    scratch.StoreFrom(F2{d[2], d[3]}, (g + 8) * kExampleColumns + t * 2);
    arch.SyncWarp();
    F4 sums;
    scratch.LoadTo(sums, arch.Lane() * 4);
    StoreRows(arch, params, row + arch.Lane() / 2, sums);
    arch.Sync();  // the ring is free
  }
}

}  // namespace

CHORUS_KERNEL(kExampleBf16, ExampleParams<Bf16>, kExampleThreads, 4, ExampleBody(arch, params))
CHORUS_KERNEL(kExampleF16, ExampleParams<F16>, kExampleThreads, 4, ExampleBody(arch, params))

}  // namespace chorus::kernels
