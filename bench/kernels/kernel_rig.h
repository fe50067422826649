// What the benchmarks of the ops share: the machine with its ceilings, SmolLM2-135M's shapes,
// buffers of values, and Measure, which times an op in turns with the ceilings.
//   MB       bytes the op has to move: what it reads and writes once, weights and pages included
//   share    floor ÷ best time; the floor is the larger of bytes ÷ read bandwidth and
//            FLOPs ÷ rate of vdpbf16ps, both at their best while the op was measured
//   us       best time of one layer, or of one call where the op is not repeated per layer
// Weights, adapters and pages are cold: a benchmark walks 30 layers of them, as a step does.
#ifndef CHORUS_BENCH_KERNELS_KERNEL_RIG_H_
#define CHORUS_BENCH_KERNELS_KERNEL_RIG_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "bench/ceilings.h"
#include "benchmark/benchmark.h"
#include "kernels/device/compute_pool.h"
#include "kernels/device/dtype.h"
#include "kernels/device/stream.h"
#include "kernels/device/tensor_view.h"
#include "kernels/linear/packed_matrix.h"

namespace chorus::bench {

inline constexpr int kLayers = 30;
inline constexpr int64_t kWidth = 576;
inline constexpr int64_t kHeads = 9;
inline constexpr int64_t kKvHeads = 3;
inline constexpr int64_t kHeadDim = 64;
inline constexpr int64_t kQkvWidth = (kHeads + 2 * kKvHeads) * kHeadDim;
inline constexpr int64_t kFeedForward = 1536;
inline constexpr int64_t kVocabulary = 49152;

// All cores (or CHORUS_BENCH_THREADS of them), and what they give.
struct Machine {
  Machine();
  kernels::ComputePool pool;
  Ceilings ceilings;
  kernels::Stream stream;
};
Machine& TheMachine();

// Values uniform in [-scale, scale), period 65536: making hundreds of megabytes of distinct values
// takes longer than measuring them.
void FillValues(float* data, int64_t count, float scale = 1.0f);
void FillValues(kernels::Bf16* data, int64_t count, float scale = 1.0f);

// Values and the view that an op takes them by.
template <class T>
struct Buffer {
  Buffer(int64_t rows, int64_t cols)
      : data(static_cast<size_t>(rows * cols)),
        view(kernels::TensorView::Of(data.data(), rows, cols)) {
    FillValues(data.data(), rows * cols);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::vector<T> data;
  kernels::TensorView view;
};

// A bf16 matrix of values, on huge pages where there are.
kernels::PackedMatrix RandomMatrix(int64_t outputs, int64_t inputs);
// At least that many bytes of bf16 values, for a page pool to lie in.
kernels::PackedMatrix RandomMemory(int64_t bytes);

// An op that refuses its arguments here is a bug of the bench.
void Must(const absl::Status& status);

// What one call of a benchmark's body does.
struct Work {
  double bytes = 0.0;
  double flops = 0.0;
  int units = 1;  // layers or calls in it
};
void Measure(benchmark::State& state, const Work& work, absl::FunctionRef<void()> body);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_KERNELS_KERNEL_RIG_H_
