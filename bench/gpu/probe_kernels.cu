#include "bench/gpu/probe_kernels.h"
#include "kernels/device/arch.h"

namespace chorus::kernels {
namespace {

// Loads that each thread has under way.
constexpr int kDepth = 8;
constexpr int kVectorBytes = 16;
constexpr int64_t kPieceBytes = int64_t{kReadCellsThreads} * kDepth * kVectorBytes;

template <class Arch>
CHORUS_DEVICE void ReadCellsBody(Arch& arch, const ReadCellsParams& params) {
  const auto cells = arch.Global(params.cells, params.count);
  const auto base = arch.Global(params.base, params.num_cells * params.cell_bytes);
  const int64_t pieces = DivideUp(params.cell_bytes, kPieceBytes);
  uint32_t sum = 0;
  CHORUS_NO_UNROLL
  for (int64_t i = arch.Block(); i < params.count * pieces; i += arch.Grid()) {
    const int64_t cell = cells.Load(i / pieces);
    const int64_t first = i % pieces * kPieceBytes + arch.Thread() * kVectorBytes;
    U4 words[kDepth] = {};
    CHORUS_UNROLL
    for (int n = 0; n < kDepth; ++n) {
      const int64_t byte = first + int64_t{n} * kReadCellsThreads * kVectorBytes;
      if (arch.Guard(byte < params.cell_bytes)) {
        base.StreamTo(words[n], PageAddress(cell, params.cell_bytes, byte));
      }
    }
    CHORUS_UNROLL
    for (int n = 0; n < kDepth; ++n) {
      sum ^= words[n].x ^ words[n].y ^ words[n].z ^ words[n].w;
    }
  }
  const auto sums = arch.Global(params.sums, int64_t{arch.Grid()} * kReadCellsThreads);
  sums.Store(int64_t{arch.Block()} * kReadCellsThreads + arch.Thread(), sum);
}

template <class Arch>
CHORUS_DEVICE void TouchBody(Arch& arch, const TouchParams& params) {
  if (arch.Thread() != 0) return;
  const auto word = arch.Global(params.word, 1);
  word.Store(0, word.Load(0) + 1);
}

}  // namespace

CHORUS_KERNEL(kReadCells, ReadCellsParams, kReadCellsThreads, 4, ReadCellsBody(arch, params))
CHORUS_KERNEL(kTouch, TouchParams, 32, 1, TouchBody(arch, params))

}  // namespace chorus::kernels
