// Linear in bf16 where the processor has vdpbf16ps: each f32 lane takes two products at a time, so
// an output is one chain over pairs of inputs in order. One row and eight rows run the same chain.
#include <algorithm>
#include <cstring>

#include "kernels/check.h"
#include "kernels/device/cpu_features.h"
#include "kernels/linear/panel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace chorus::kernels {

#if defined(__x86_64__)
namespace {

constexpr int kMaxRows = 8;
constexpr int kVectors = kPanelOutputs / 16;
constexpr int64_t kPairBytes = kPanelOutputs * 4;  // one pair of inputs for a panel

// One block of inputs of one panel for a few rows.
struct Job {
  const Bf16* x;
  int64_t x_stride;
  const std::byte* weights;
  int64_t pairs;
  bool odd;                // one more input follows the pairs
  const std::byte* ahead;  // weights to fetch meanwhile, `ahead_step` bytes for each pair
  int64_t ahead_step;
  float* y;
  int64_t y_stride;
  int64_t columns;    // outputs of this panel that exist
  const float* bias;  // of this panel, or null
  bool add;           // to y
};

CHORUS_TARGET_BF16 inline __m512i BroadcastPair(const Bf16* x) {
  int pair;
  std::memcpy(&pair, x, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

CHORUS_TARGET_BF16 inline __m512 Dot(__m512 sum, __m512i x, __m512i w) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
}

template <int kRows>
CHORUS_TARGET_BF16 inline void StoreSums(const Job& job, __m512 (&sums)[kRows][kVectors]) {
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    const int64_t columns = std::clamp<int64_t>(job.columns - 16 * v, 0, 16);
    const auto mask = static_cast<__mmask16>((1u << columns) - 1);
    const __m512 bias =
        job.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, job.bias + 16 * v);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      float* const y = job.y + r * job.y_stride + 16 * v;
      __m512 sum = sums[r][v];
      if (job.add) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y), sum);
      if (job.bias != nullptr) sum = _mm512_add_ps(sum, bias);
      _mm512_mask_storeu_ps(y, mask, sum);
    }
  }
}

// kFetch: cache lines to prefetch for each pair.
template <int kRows, int kFetch>
CHORUS_TARGET_BF16 void RunJob(const Job& job) {
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_setzero_ps();
  }
  const Bf16* x = job.x;
  const int64_t stride = job.x_stride;
  const std::byte* w = job.weights;
  const std::byte* ahead = job.ahead;
  for (int64_t p = 0; p < job.pairs; ++p) {
    for (int f = 0; f < kFetch; ++f) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead + 64 * f), _MM_HINT_T0);
    }
    ahead += job.ahead_step;
    const __m512i w0 = _mm512_load_si512(w);
    const __m512i w1 = _mm512_load_si512(w + 64);
    const __m512i w2 = _mm512_load_si512(w + 128);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i pair = BroadcastPair(x + r * stride);
      sums[r][0] = Dot(sums[r][0], pair, w0);
      sums[r][1] = Dot(sums[r][1], pair, w1);
      sums[r][2] = Dot(sums[r][2], pair, w2);
    }
    x += 2;
    w += kPairBytes;
  }
  if (job.odd) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const __m512i last = _mm512_set1_epi32(x[r * stride].bits);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Dot(sums[r][v], last, _mm512_load_si512(w + 64 * v));
      }
    }
  }
  StoreSums<kRows>(job, sums);
}

using JobRunner = void (*)(const Job&);

template <int kFetch>
constexpr JobRunner kRunners[kMaxRows] = {RunJob<1, kFetch>, RunJob<2, kFetch>, RunJob<3, kFetch>,
                                          RunJob<4, kFetch>, RunJob<5, kFetch>, RunJob<6, kFetch>,
                                          RunJob<7, kFetch>, RunJob<8, kFetch>};

// All rows over one block of inputs of one panel. What comes next in the weights' stream is
// fetched meanwhile, spread evenly over the passes: with few rows the passes are bound by memory.
void RunPanelBlock(const LinearArgs& args, const LinearPiece& piece, int64_t panel, int64_t block) {
  const PackedMatrix& weight = *args.weight;
  const int64_t first_input = block * kBlockInputs;
  const int64_t inputs = std::min(kBlockInputs, weight.inputs() - first_input);
  const int64_t column = panel * kPanelOutputs;
  Job job;
  job.x_stride = args.x.stride;
  job.weights = weight.data() + panel * PanelBytes(DType::kBf16, weight.inputs()) +
                first_input / 2 * kPairBytes;
  job.pairs = inputs / 2;
  job.odd = inputs % 2 != 0;
  job.y_stride = args.y.stride;
  job.columns = std::min(kPanelOutputs, weight.outputs() - column);
  job.bias = args.bias != nullptr && first_input + inputs == weight.inputs() ? args.bias + column
                                                                             : nullptr;
  job.add = args.accumulate || block > 0;
  int64_t row = piece.row_begin;
  const int64_t passes = (piece.row_end - row + kMaxRows - 1) / kMaxRows;
  const std::byte* ahead = job.weights + job.pairs * kPairBytes;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const int64_t left = passes - pass;
    const int64_t rows = (piece.row_end - row + left - 1) / left;
    job.x = args.x.Row<Bf16>(row) + first_input;
    job.y = args.y.Row<float>(row) + column;
    job.ahead = ahead;
    job.ahead_step = passes <= 3 ? kPairBytes / passes : 64;
    ahead += job.ahead_step * job.pairs;
    const JobRunner* const runners = passes == 1   ? kRunners<3>
                                     : passes == 2 ? kRunners<2>
                                     : pass < 3    ? kRunners<1>
                                                   : kRunners<0>;
    runners[rows - 1](job);
    row += rows;
  }
}

}  // namespace

void LinearPieceAvx512Bf16(const LinearArgs& args, const LinearPiece& piece) {
  const int64_t blocks = CeilDiv(args.weight->inputs(), kBlockInputs);
  for (int64_t panel = piece.panel_begin; panel < piece.panel_end; ++panel) {
    for (int64_t block = 0; block < blocks; ++block) RunPanelBlock(args, piece, panel, block);
  }
}

#else

void LinearPieceAvx512Bf16(const LinearArgs&, const LinearPiece&) {
  CHORUS_CHECK(!"reached only where CpuHasBf16()");
}

#endif

}  // namespace chorus::kernels
