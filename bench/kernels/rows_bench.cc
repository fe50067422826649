// The ops that pass over rows of activations: norm, RoPE's table, SiLU; and the pool's own cost.
#include "bench/kernels/kernel_rig.h"
#include "kernels/activation/silu_mul.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/rope/rope_append_kv.h"

namespace chorus::bench {
namespace {

using kernels::Bf16;

void BM_RmsNorm(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const Buffer<float> x(rows, kWidth);
  const Buffer<float> weight(1, kWidth);
  const Buffer<Bf16> y(rows, kWidth);
  Measure(state, {.bytes = static_cast<double>(rows * kWidth * (4 + 2) + kWidth * 4)}, [&] {
    Must(RmsNorm({.x = x.view, .weight = weight.data.data(), .eps = 1e-5f, .y = y.view},
                 TheMachine().stream));
  });
}
BENCHMARK(BM_RmsNorm)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_RopeTable(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const std::vector<int32_t> positions(static_cast<size_t>(rows), 1234);
  const std::vector<float> inv_freq(kHeadDim / 2, 0.01f);
  const Buffer<float> cos_sin(rows, kHeadDim);
  Measure(state, {.bytes = static_cast<double>(rows * kHeadDim * 4)}, [&] {
    Must(RopeTable({.positions = positions, .inv_freq = inv_freq, .cos_sin = cos_sin.view},
                   TheMachine().stream));
  });
}
BENCHMARK(BM_RopeTable)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_SiluMul(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const Buffer<float> gate_up(rows, 2 * kFeedForward);
  const Buffer<Bf16> y(rows, kFeedForward);
  Measure(state, {.bytes = static_cast<double>(rows * kFeedForward * (8 + 2))},
          [&] { Must(SiluMul({.gate_up = gate_up.view, .y = y.view}, TheMachine().stream)); });
}
BENCHMARK(BM_SiluMul)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// What handing work to all workers and waiting for them costs by itself.
void BM_EmptyRun(benchmark::State& state) {
  for (auto _ : state) TheMachine().pool.Run([](int) {});
}
BENCHMARK(BM_EmptyRun);

}  // namespace
}  // namespace chorus::bench
