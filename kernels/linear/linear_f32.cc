// Linear in f32: outputs are lanes, an output is one chain of multiply-adds over the inputs in
// order. How many rows and vectors are held in registers at once changes nothing in the chain.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear/linear_f32.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include <algorithm>

#include "hwy/highway.h"
#include "kernels/linear/panel.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr F32Tag kTag;
constexpr int kVectors = 3;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(kTag));
constexpr int kStripOutputs = kVectors * kLanes;  // a panel is a whole number of strips
// 24 accumulators where there are 32 registers, 12 where there are 16.
constexpr int kMaxRows = kLanes == 16 ? 8 : 4;
static_assert(kPanelOutputs % kStripOutputs == 0);

// One block of inputs of one strip of a panel for a few rows.
struct Job {
  const float* x;
  int64_t x_stride;
  const float* weights;
  int64_t inputs;
  float* y;
  int64_t y_stride;
  int64_t columns;    // outputs of this strip that exist, at least 1
  const float* bias;  // of this strip, or null
  bool add;
};

HWY_INLINE void StoreSum(const Job& job, hn::Vec<F32Tag> sum, int row, int vector) {
  const int64_t columns = std::min<int64_t>(job.columns - vector * kLanes, kLanes);
  if (columns <= 0) return;
  float* const y = job.y + row * job.y_stride + vector * kLanes;
  const float* const bias = job.bias == nullptr ? nullptr : job.bias + vector * kLanes;
  if (columns == kLanes) {
    if (job.add) sum = hn::Add(hn::LoadU(kTag, y), sum);
    if (bias != nullptr) sum = hn::Add(sum, hn::LoadU(kTag, bias));
    hn::StoreU(sum, kTag, y);
    return;
  }
  const auto count = static_cast<size_t>(columns);
  if (job.add) sum = hn::Add(LoadTailF32(kTag, y, count), sum);
  if (bias != nullptr) sum = hn::Add(sum, LoadTailF32(kTag, bias, count));
  StoreTailF32(sum, kTag, y, count);
}

template <int kRows>
void RunJob(const Job& job) {
  hn::Vec<F32Tag> sums[kRows][kVectors];
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA { sums[r][v] = hn::Zero(kTag); });
  });
  const float* x = job.x;
  const float* w = job.weights;
  const int64_t stride = job.x_stride;
  for (const float* const end = x + job.inputs; x < end; ++x, w += kPanelOutputs) {
    hn::Vec<F32Tag> weights[kVectors];
    Unroll<kVectors>([&](auto v)
                         CHORUS_INLINE_LAMBDA { weights[v] = hn::LoadU(kTag, w + v * kLanes); });
    Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
      const auto value = hn::Set(kTag, x[r * stride]);
      Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA {
        sums[r][v] = hn::MulAdd(value, weights[v], sums[r][v]);
      });
    });
  }
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kVectors>([&](auto v) CHORUS_INLINE_LAMBDA { StoreSum(job, sums[r][v], r, v); });
  });
}

using JobRunner = void (*)(const Job&);

constexpr JobRunner kRunners[] = {RunJob<1>, RunJob<2>, RunJob<3>,
                                  RunJob<4>,
#if HWY_TARGET <= HWY_AVX3
                                  RunJob<5>, RunJob<6>, RunJob<7>,
                                  RunJob<8>
#endif
};

// All rows over one block of inputs of one panel.
void RunPanelBlock(const LinearArgs& args, const LinearPiece& piece, int64_t panel, int64_t block) {
  const PackedMatrix& weight = *args.weight;
  const int64_t first_input = block * kBlockInputs;
  const auto* const weights = reinterpret_cast<const float*>(weight.data()) +
                              (panel * weight.inputs() + first_input) * kPanelOutputs;
  Job job;
  job.x_stride = args.x.stride;
  job.inputs = std::min(kBlockInputs, weight.inputs() - first_input);
  job.y_stride = args.y.stride;
  job.add = args.accumulate || block > 0;
  const bool last = first_input + job.inputs == weight.inputs();
  for (int64_t row = piece.row_begin; row < piece.row_end; row += kMaxRows) {
    const int64_t rows = std::min<int64_t>(kMaxRows, piece.row_end - row);
    for (int64_t strip = 0; strip < kPanelOutputs; strip += kStripOutputs) {
      const int64_t column = panel * kPanelOutputs + strip;
      job.columns = weight.outputs() - column;
      if (job.columns <= 0) break;
      job.x = args.x.Row<float>(row) + first_input;
      job.weights = weights + strip;
      job.y = args.y.Row<float>(row) + column;
      job.bias = last && args.bias != nullptr ? args.bias + column : nullptr;
      kRunners[rows - 1](job);
    }
  }
}

void Piece(const LinearArgs& args, const LinearPiece& piece) {
  const int64_t blocks = CeilDiv(args.weight->inputs(), kBlockInputs);
  for (int64_t panel = piece.panel_begin; panel < piece.panel_end; ++panel) {
    for (int64_t block = 0; block < blocks; ++block) RunPanelBlock(args, piece, panel, block);
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(Piece);

void LinearPieceF32(const LinearArgs& args, const LinearPiece& piece) {
  HWY_DYNAMIC_DISPATCH(Piece)(args, piece);
}

}  // namespace chorus::kernels
#endif
