#include "bench/kernels/kernel_rig.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include "kernels/check.h"

namespace chorus::bench {
namespace {

using kernels::Bf16;
using kernels::DType;
using kernels::PackedMatrix;

// How long an op is measured before the ceilings are measured again.
constexpr double kCeilingsPeriod = 0.05;

const std::vector<float>& UnitValues() {
  static const std::vector<float> values = [] {
    std::vector<float> made(65536);
    std::minstd_rand random;
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    for (float& value : made) value = uniform(random);
    return made;
  }();
  return values;
}

float ValueAt(int64_t i, float scale) {
  const std::vector<float>& values = UnitValues();
  return scale * values[static_cast<size_t>(i) % values.size()];
}

// All cores, or CHORUS_BENCH_THREADS of them.
int NumThreads() {
  const char* const wanted = std::getenv("CHORUS_BENCH_THREADS");
  const int threads = wanted != nullptr ? std::atoi(wanted) : 0;
  return threads > 0 ? threads
                     : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

Machine::Machine() : pool(NumThreads()), ceilings(&pool), stream(kernels::Stream::Cpu(&pool)) {}

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

void FillValues(float* data, int64_t count, float scale) {
  for (int64_t i = 0; i < count; ++i) data[i] = ValueAt(i, scale);
}

void FillValues(Bf16* data, int64_t count, float scale) {
  for (int64_t i = 0; i < count; ++i) data[i] = Bf16::FromFloat(ValueAt(i, scale));
}

PackedMatrix RandomMatrix(int64_t outputs, int64_t inputs) {
  PackedMatrix matrix = PackedMatrix::Allocate(DType::kBf16, outputs, inputs).value();
  FillValues(reinterpret_cast<Bf16*>(const_cast<std::byte*>(matrix.data())), matrix.bytes() / 2,
             0.05f);
  return matrix;
}

PackedMatrix RandomMemory(int64_t bytes) { return RandomMatrix(bytes / 2 / kWidth + 1, kWidth); }

void Must(const absl::Status& status) {
  if (!status.ok()) kernels::CheckFailed(__FILE__, __LINE__, std::string(status.message()));
}

void Measure(benchmark::State& state, const Work& work, absl::FunctionRef<void()> body) {
  Ceilings& ceilings = TheMachine().ceilings;
  ceilings.Measure();
  body();
  double best = 1e30;
  double since_ceilings = 0.0;
  for (auto _ : state) {
    const double start = Now();
    body();
    const double seconds = Now() - start;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
    since_ceilings += seconds;
    if (since_ceilings > kCeilingsPeriod) {
      ceilings.Measure();
      since_ceilings = 0.0;
    }
  }
  state.counters["us"] = best / work.units * 1e6;
  state.counters["MB"] = work.bytes * 1e-6;
  state.counters["GB/s"] = work.bytes / best * 1e-9;
  state.counters["GFLOP/s"] = work.flops / best * 1e-9;
  state.counters["share"] = ceilings.Floor(work.bytes, work.flops) / best;
  state.counters["read_GB/s"] = ceilings.read_bandwidth() * 1e-9;
  state.counters["dot_GFLOP/s"] = ceilings.compute_rate() * 1e-9;
}

}  // namespace chorus::bench

BENCHMARK_MAIN();
