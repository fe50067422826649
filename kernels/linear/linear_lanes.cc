// Linear for every processor, in f32 and in bf16 widened to f32: outputs are lanes, an output is
// one chain of multiply-adds over the inputs in order. How many rows and vectors are held in
// registers at once changes nothing in the chain.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear/linear_lanes.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include <algorithm>
#include <type_traits>
#include <vector>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/linear/panel.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr F32Tag kTag;
constexpr hn::RebindToUnsigned<F32Tag> kPairsTag;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(kTag));
constexpr int kPanelVectors = static_cast<int>(kPanelOutputs) / kLanes;
// With the weights of an input, a row's value and a constant they fill 32 registers, or 16.
constexpr int kMaxRows = kLanes == 16 ? 8 : 6;
// One or two rows are bound by memory, and read a panel as the one stream that it is.
constexpr int kFewRows = 2;
constexpr int VectorsFor(int64_t rows) {
  if (rows <= kFewRows) return std::min(kPanelVectors, 6);
  return kLanes == 16 || rows <= 3 ? 3 : 2;
}

// A block of weights that the second-level cache holds beside the one before.
constexpr int64_t kFetchedBytes = 256 << 10;
constexpr int kLineBytes = 64;
constexpr int kInputLines = kPanelOutputs * 4 / kLineBytes;  // of an input in f32, of two in bf16

// One block of inputs of one strip of a panel, a few vectors wide, for a few rows.
struct Job {
  const float* x;
  int64_t x_stride;
  const std::byte* weights;
  int64_t inputs;
  float* y;
  int64_t y_stride;
  const std::byte* ahead;  // a line to fetch meanwhile for each input in f32, for two in bf16
  int64_t columns;         // outputs of this strip that exist, at least 1
  const float* bias;       // of this strip, or null
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

// One input of each row times its weights, all as f32 lanes, onto the sums. With few rows the
// weights, else the rows' values come one after another, so that everything stays in registers.
template <int kRows, int kWide, class Weight, class Value>
HWY_INLINE void AddInput(const Weight& weight, const Value& value,
                         hn::Vec<F32Tag> (&sums)[kRows][kWide]) {
  if constexpr (kRows <= kFewRows) {
    hn::Vec<F32Tag> values[kRows];
    Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA { values[r] = value(r); });
    Unroll<kWide>([&](auto v) CHORUS_INLINE_LAMBDA {
      const auto weights = weight(v);
      Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
        sums[r][v] = hn::MulAdd(values[r], weights, sums[r][v]);
      });
    });
  } else {
    hn::Vec<F32Tag> weights[kWide];
    Unroll<kWide>([&](auto v) CHORUS_INLINE_LAMBDA { weights[v] = weight(v); });
    Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
      const auto values = value(r);
      Unroll<kWide>([&](auto v) CHORUS_INLINE_LAMBDA {
        sums[r][v] = hn::MulAdd(values, weights[v], sums[r][v]);
      });
    });
  }
}

template <class T, bool kFetch, int kRows, int kWide>
HWY_INLINE void AddInputs(const Job& job, hn::Vec<F32Tag> (&sums)[kRows][kWide]) {
  const float* x = job.x;
  const int64_t stride = job.x_stride;
  const std::byte* ahead = job.ahead;
  const auto fetch = [&]() CHORUS_INLINE_LAMBDA {
    if constexpr (kFetch) {
      hwy::Prefetch(ahead);
      ahead += kLineBytes;
    }
  };
  const auto first = [&](int r) CHORUS_INLINE_LAMBDA { return hn::Set(kTag, x[r * stride]); };
  if constexpr (std::is_same_v<T, float>) {
    const auto* w = reinterpret_cast<const float*>(job.weights);
    for (const float* const end = x + job.inputs; x < end; ++x, w += kPanelOutputs) {
      fetch();
      AddInput([&](int v) CHORUS_INLINE_LAMBDA { return hn::LoadU(kTag, w + v * kLanes); }, first,
               sums);
    }
  } else {
    // A lane holds the weights of two inputs, the first one in its lower half.
    const auto* w = reinterpret_cast<const uint32_t*>(job.weights);
    const auto first_weights = [&](int v) CHORUS_INLINE_LAMBDA {
      return hn::BitCast(kTag, hn::ShiftLeft<16>(hn::LoadU(kPairsTag, w + v * kLanes)));
    };
    const auto upper = hn::Set(kPairsTag, 0xffff0000u);
    for (const float* const end = x + job.inputs / 2 * 2; x < end; x += 2, w += kPanelOutputs) {
      fetch();
      AddInput(first_weights, first, sums);
      AddInput(
          [&](int v) CHORUS_INLINE_LAMBDA {
            return hn::BitCast(kTag, hn::And(upper, hn::LoadU(kPairsTag, w + v * kLanes)));
          },
          [&](int r) CHORUS_INLINE_LAMBDA { return hn::Set(kTag, x[r * stride + 1]); }, sums);
    }
    if (job.inputs % 2 != 0) AddInput(first_weights, first, sums);
  }
}

template <class T, bool kFetch, int kRows>
void RunJob(const Job& job) {
  constexpr int kWide = VectorsFor(kRows);
  hn::Vec<F32Tag> sums[kRows][kWide];
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kWide>([&](auto v) CHORUS_INLINE_LAMBDA { sums[r][v] = hn::Zero(kTag); });
  });
  AddInputs<T, kFetch>(job, sums);
  Unroll<kRows>([&](auto r) CHORUS_INLINE_LAMBDA {
    Unroll<kWide>([&](auto v) CHORUS_INLINE_LAMBDA { StoreSum(job, sums[r][v], r, v); });
  });
}

using JobRunner = void (*)(const Job&);

template <class T, bool kFetch>
constexpr JobRunner kRunners[] = {
    RunJob<T, kFetch, 1>, RunJob<T, kFetch, 2>, RunJob<T, kFetch, 3>,
    RunJob<T, kFetch, 4>, RunJob<T, kFetch, 5>, RunJob<T, kFetch, 6>,
#if HWY_TARGET <= HWY_AVX3
    RunJob<T, kFetch, 7>, RunJob<T, kFetch, 8>,
#endif
};

void WidenRow(const Bf16* from, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(LoadF32(kTag, from + i), kTag, to + i);
  for (; i < count; ++i) to[i] = from[i].ToFloat();
}

// A piece's rows from one input on, in f32.
struct Rows {
  const float* first;
  int64_t stride;
};

// All rows over one block of inputs of one panel. What comes next in the weights' stream is fetched
// meanwhile: the first passes would wait for it.
template <class T>
void RunPanelBlock(const LinearArgs& args, const LinearPiece& piece, const Rows& x, int64_t panel,
                   int64_t block) {
  const PackedMatrix& weight = *args.weight;
  const int64_t first_input = block * kBlockInputs;
  const std::byte* const weights = weight.data() +
                                   panel * PanelBytes(weight.dtype(), weight.inputs()) +
                                   PanelBytes(weight.dtype(), first_input);
  Job job;
  job.x_stride = x.stride;
  job.inputs = std::min(kBlockInputs, weight.inputs() - first_input);
  job.y_stride = args.y.stride;
  job.add = args.accumulate || block > 0;
  const bool last = first_input + job.inputs == weight.inputs();
  const int64_t bytes = PanelBytes(weight.dtype(), job.inputs);
  job.ahead = weights + bytes;
  int jobs_to_fetch = bytes <= kFetchedBytes ? kInputLines : 0;
  const int64_t all_rows = piece.row_end - piece.row_begin;
  for (int64_t row = 0; row < all_rows;) {
    const int64_t passes = CeilDiv<int64_t>(all_rows - row, kMaxRows);
    const int64_t rows = CeilDiv(all_rows - row, passes);
    const int64_t strip_outputs = VectorsFor(rows) * kLanes;
    for (int64_t strip = 0; strip < kPanelOutputs; strip += strip_outputs) {
      const int64_t column = panel * kPanelOutputs + strip;
      job.columns = weight.outputs() - column;
      if (job.columns <= 0) break;
      job.x = x.first + row * x.stride;
      job.weights = weights + strip * 4;  // bytes of an output of f32, or of a pair of bf16
      job.y = args.y.Row<float>(piece.row_begin + row) + column;
      job.bias = last && args.bias != nullptr ? args.bias + column : nullptr;
      if (rows > kFewRows && jobs_to_fetch > 0) {
        kRunners<T, true>[rows - 1](job);
        job.ahead += bytes / kInputLines;
        --jobs_to_fetch;
      } else {
        kRunners<T, false>[rows - 1](job);
      }
    }
    row += rows;
  }
}

void PieceF32(const LinearArgs& args, const LinearPiece& piece) {
  const int64_t blocks = CeilDiv(args.weight->inputs(), kBlockInputs);
  for (int64_t panel = piece.panel_begin; panel < piece.panel_end; ++panel) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float* const x = args.x.Row<float>(piece.row_begin) + block * kBlockInputs;
      RunPanelBlock<float>(args, piece, {x, args.x.stride}, panel, block);
    }
  }
}

void PieceBf16(const LinearArgs& args, const LinearPiece& piece) {
  // Widened once for all panels; the thread that computes keeps it for the next time.
  static thread_local std::vector<float> wide;
  const int64_t inputs = args.weight->inputs();
  const int64_t stride = std::min(inputs, kBlockInputs);
  const int64_t rows = piece.row_end - piece.row_begin;
  if (wide.size() < static_cast<size_t>(rows * stride)) {
    wide.resize(static_cast<size_t>(rows * stride));
  }
  for (int64_t block = 0; block * kBlockInputs < inputs; ++block) {
    const int64_t first_input = block * kBlockInputs;
    for (int64_t r = 0; r < rows; ++r) {
      const Bf16* const from = args.x.Row<Bf16>(piece.row_begin + r) + first_input;
      WidenRow(from, std::min(kBlockInputs, inputs - first_input), wide.data() + r * stride);
    }
    for (int64_t panel = piece.panel_begin; panel < piece.panel_end; ++panel) {
      RunPanelBlock<Bf16>(args, piece, {wide.data(), stride}, panel, block);
    }
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {

HWY_EXPORT(PieceF32);
HWY_EXPORT(PieceBf16);

void LinearPieceF32(const LinearArgs& args, const LinearPiece& piece) {
  HWY_DYNAMIC_DISPATCH(PieceF32)(args, piece);
}

void LinearPieceBf16(const LinearArgs& args, const LinearPiece& piece) {
  HWY_DYNAMIC_DISPATCH(PieceBf16)(args, piece);
}

}  // namespace chorus::kernels
#endif
