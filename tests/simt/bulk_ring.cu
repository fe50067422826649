#include "kernels/device/arch.h"
#include "kernels/device/device_code.h"
#include "tests/simt/bulk_ring.h"

namespace chorus::kernels {
namespace {

// By warp 0: step `step` into its stage.
template <class Arch>
CHORUS_DEVICE void Refill(Arch& arch, const BulkRingParams& params, int step) {
  auto bars = Shared<uint64_t>(arch, kBulkRingBarOffset, kBulkRingStages);
  auto ring = Shared<int32_t>(arch, 0, kBulkRingStages * kBulkRingStageElements);
  auto in = arch.Global(params.in, int64_t{params.steps} * kBulkRingStageElements);
  const int stage = step % kBulkRingStages, element = arch.Lane() * kBulkRingTileElements;
  if (arch.Lane() == 0) arch.BarArriveExpect(bars, stage, kBulkRingStageElements * 4);
  if (arch.Lane() < kBulkRingTiles) {
    arch.Bulk(ring, stage * kBulkRingStageElements + element, in,
              int64_t{step} * kBulkRingStageElements + element, kBulkRingTileElements * 4, bars,
              stage);
  }
}

template <class Arch>
CHORUS_DEVICE void BulkRingBody(Arch& arch, const BulkRingParams& params) {
  auto bars = Shared<uint64_t>(arch, kBulkRingBarOffset, kBulkRingStages);
  auto ring = Shared<int32_t>(arch, 0, kBulkRingStages * kBulkRingStageElements);
  if (arch.Thread() == 0) {
    for (int stage = 0; stage < kBulkRingStages; ++stage) arch.BarInit(bars, stage, 1);
    arch.BarFence();
  }
  arch.Sync();
  for (int step = 0; step < kBulkRingStages; ++step) {
    if (arch.Warp() == 0 && arch.Guard(step < params.steps)) Refill(arch, params, step);
  }
  int32_t sum = 0;
  CHORUS_NO_UNROLL for (int step = 0; step < params.steps; ++step) {
    const int stage = step % kBulkRingStages, next = step + kBulkRingStages;
    arch.BarWait(bars, stage, static_cast<uint32_t>(step / kBulkRingStages % 2));
    const int element = (arch.Thread() + step) % kBulkRingStageElements;
    sum += (step + 1) * ring.Load(stage * kBulkRingStageElements + element);
    arch.Sync();  // all have left the stage
    if (arch.Warp() == 0 && arch.Guard(next < params.steps)) Refill(arch, params, next);
  }
  arch.Global(params.out, int64_t{arch.Grid()} * kBulkRingThreads)
      .Store(arch.Block() * kBulkRingThreads + arch.Thread(), sum);
}

}  // namespace

CHORUS_KERNEL(kBulkRing, BulkRingParams, kBulkRingThreads, 4, BulkRingBody(arch, params))

}  // namespace chorus::kernels
