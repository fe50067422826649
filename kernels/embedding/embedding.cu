#include "kernels/device/arch.h"
#include "kernels/device/floats.h"
#include "kernels/embedding/embedding_kernel.h"

namespace chorus::kernels {
namespace {

constexpr int kPiece = 8;

template <class T, class Arch>
CHORUS_DEVICE void EmbeddingBody(Arch& arch, const EmbeddingParams& params) {
  const int32_t token = arch.Global(params.tokens, params.rows).Load(arch.Block());
  CHORUS_DEVICE_DCHECK(token >= 0 && token < params.vocabulary);
  const auto table =
      arch.Global(static_cast<const T*>(params.table), int64_t{params.vocabulary} * params.hidden);
  const auto residual = arch.Global(params.residual, int64_t{params.rows} * params.hidden);
  const int64_t from = int64_t{token} * params.hidden;
  const int64_t to = int64_t{arch.Block()} * params.hidden;
  for (int i = kPiece * arch.Thread(); i < params.hidden; i += kPiece * arch.Threads()) {
    StoreFloats(arch, float{}, LoadFloats<kPiece>(arch, T{}, table, from + i), residual, to + i);
  }
}

}  // namespace

CHORUS_KERNEL(kEmbeddingBf16, EmbeddingParams, 128, 8, EmbeddingBody<Bf16>(arch, params))
CHORUS_KERNEL(kEmbeddingF16, EmbeddingParams, 128, 8, EmbeddingBody<F16>(arch, params))

}  // namespace chorus::kernels
