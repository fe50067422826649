#include "kernels/copy/copy_pages_kernel.h"
#include "kernels/device/arch.h"

namespace chorus::kernels {
namespace {

constexpr int kThreads = 256;
// Loads that each thread has under way.
constexpr int kDepth = 4;
constexpr int kVectorBytes = 16;
constexpr int64_t kPieceBytes = int64_t{kThreads} * kDepth * kVectorBytes;

template <class Arch>
CHORUS_DEVICE void CopyPiece(Arch& arch, const CopyPagesParams& params, int64_t from_cell,
                             int64_t to_cell, int64_t first_byte) {
  const int64_t pool_bytes = params.num_slabs * params.num_ids * params.cell_bytes;
  const auto from = arch.Global(static_cast<const std::byte*>(params.pool), pool_bytes);
  const auto to = arch.Global(params.pool, pool_bytes);
  U4 words[kDepth];
  CHORUS_UNROLL
  for (int n = 0; n < kDepth; ++n) {
    const int64_t byte = first_byte + (n * kThreads + arch.Thread()) * kVectorBytes;
    if (arch.Guard(byte < params.cell_bytes)) {
      from.LoadTo(words[n], PageAddress(from_cell, params.cell_bytes, byte));
    }
  }
  CHORUS_UNROLL
  for (int n = 0; n < kDepth; ++n) {
    const int64_t byte = first_byte + (n * kThreads + arch.Thread()) * kVectorBytes;
    if (arch.Guard(byte < params.cell_bytes)) {
      to.StoreFrom(words[n], PageAddress(to_cell, params.cell_bytes, byte));
    }
  }
}

template <class Arch>
CHORUS_DEVICE void CopyPagesBody(Arch& arch, const CopyPagesParams& params) {
  const auto copies = arch.Global(params.copies, params.capacity);
  const int64_t count = arch.Global(params.count, 1).Load(0);
  const int64_t pieces = DivideUp(params.cell_bytes, kPieceBytes);
  const int64_t total = count * params.num_slabs * pieces;
  CHORUS_NO_UNROLL
  for (int64_t i = arch.Block(); i < total; i += arch.Grid()) {
    const int64_t cell = i / pieces;
    const PageCopy copy = copies.Load(cell / params.num_slabs);
    const int64_t slab_cells = cell % params.num_slabs * params.num_ids;
    CopyPiece(arch, params, slab_cells + copy.from, slab_cells + copy.to, i % pieces * kPieceBytes);
  }
}

}  // namespace

CHORUS_KERNEL(kCopyPages, CopyPagesParams, kThreads, 4, CopyPagesBody(arch, params))

}  // namespace chorus::kernels
