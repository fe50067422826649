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

}  // namespace

CHORUS_KERNEL(kTestScramble, ScrambleParams, kTestThreads, 8, ScrambleBody(arch, params))
CHORUS_KERNEL(kTestSharedSum, SharedSumParams, kTestThreads, 1, SharedSumBody(arch, params))

}  // namespace chorus::kernels
