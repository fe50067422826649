#include "kernels/device/arch.h"
#include "tests/support/device_kernels.h"

namespace chorus::kernels {
namespace {

template <class Arch>
CHORUS_DEVICE void ScrambleBody(Arch& arch, const ScrambleParams& params) {
  const auto x = arch.Global(params.x, params.count);
  const auto y = arch.Global(params.y, params.count);
  const int32_t stride = arch.Grid() * arch.Threads();
  CHORUS_NO_UNROLL for (int32_t i = arch.Block() * arch.Threads() + arch.Thread(); i < params.count;
                        i += stride) {
    y.Store(i, Scrambled(x.Load(i), params.rounds));
  }
}

template <class Arch>
CHORUS_DEVICE void SharedSumBody(Arch& arch, const SharedSumParams& params) {
  const auto words = Shared<uint32_t>(arch, 0, params.words);
  CHORUS_NO_UNROLL for (int32_t w = arch.Thread(); w < params.words; w += arch.Threads()) {
    words.Store(w, static_cast<uint32_t>(w + arch.Block()));
  }
  arch.Sync();
  uint32_t sum = 0;
  CHORUS_NO_UNROLL for (int32_t w = arch.Thread(); w < params.words; w += arch.Threads()) {
    sum += words.Load(params.words - 1 - w);
  }
  arch.Global(params.sums, int64_t{params.blocks} * kTestThreads)
      .Store(arch.Block() * kTestThreads + arch.Thread(), sum);
}

template <class Arch>
CHORUS_DEVICE void EarlyBody(Arch& arch, const EarlyParams& params) {
  const auto salt = arch.Global(params.salt, params.count);
  const auto x = arch.Global(params.x, params.count);
  const auto y = arch.Global(params.y, params.count);
  const int32_t i = arch.Block() * arch.Threads() + arch.Thread();
  const bool inside = i < params.count;
  uint32_t value = inside ? salt.Load(i) : 0;
  if (params.fault == EarlyFault::kReadsBeforeItWaits && inside) value += x.Load(i);
  if (params.fault == EarlyFault::kWritesBeforeItWaits && inside) y.Store(i, 0);
  if (params.fault == EarlyFault::kLetsNextBeginFirst) arch.LetNextBegin();
  if (params.fault != EarlyFault::kDoesNotWait) arch.WaitForPrior();
  if (params.fault == EarlyFault::kNone) arch.LetNextBegin();
  if (inside) y.Store(i, 3 * x.Load(i) + value);
}

template <class Arch>
CHORUS_DEVICE void ClusterSumBody(Arch& arch, const ClusterSumParams& params) {
  const auto cells = Shared<float>(arch, 0, 4 * kTestThreads);
  cells.StoreFrom(
      F4{1000.0f * static_cast<float>(arch.Block()), static_cast<float>(arch.Thread()), 0.0f, 0.0f},
      4 * arch.Thread());
  arch.ClusterSync();
  float sum = 0.0f;
  CHORUS_NO_UNROLL for (int rank = 0; rank < arch.ClusterBlocks(); ++rank) {
    F4 other;
    arch.Remote(cells, rank).LoadTo(other, 4 * ((arch.Thread() + rank) % kTestThreads));
    sum += other.x + other.y;
  }
  arch.Global(params.sums, int64_t{params.blocks} * kTestThreads)
      .Store(arch.Block() * kTestThreads + arch.Thread(), sum);
  arch.ClusterSync();
}

}  // namespace

CHORUS_KERNEL(kTestScramble, ScrambleParams, kTestThreads, 8, ScrambleBody(arch, params))
CHORUS_KERNEL(kTestEarly, EarlyParams, kTestThreads, 8, EarlyBody(arch, params))
CHORUS_KERNEL(kTestSharedSum, SharedSumParams, kTestThreads, 1, SharedSumBody(arch, params))
CHORUS_CLUSTER_KERNEL(kTestClusterSum, ClusterSumParams, kTestThreads, 2, kTestClusterBlocks,
                      ClusterSumBody(arch, params))

}  // namespace chorus::kernels
