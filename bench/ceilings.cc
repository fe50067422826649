#include "bench/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "bench/ceiling_loops.h"
#include "kernels/check.h"
#include "kernels/device/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace chorus::bench {
namespace {

// Sums are stored here so that no probe can be optimised away.
std::atomic<uint64_t> g_sink{0};

constexpr int kDotChains = 24;
constexpr int64_t kDotSteps = 100000;

#if defined(__x86_64__)

CHORUS_TARGET_BF16 float DotChains() {
  // Every loop over the chains is unrolled, or the compiler keeps them in memory.
  __m512 sums[kDotChains];
#pragma GCC unroll 24
  for (int i = 0; i < kDotChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f803f80));
  for (int64_t step = 0; step < kDotSteps; ++step) {
#pragma GCC unroll 24
    for (int i = 0; i < kDotChains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], x, x);
  }
#pragma GCC unroll 24
  for (int i = 1; i < kDotChains; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  float lanes[16];
  _mm512_storeu_ps(lanes, sums[0]);
  return lanes[0] + lanes[15];
}

#endif

// FLOPs done.
double Compute() {
  float result = 0.0f;
  double flops = 0.0;
#if defined(__x86_64__)
  if (kernels::CpuHasBf16()) {
    result = DotChains();
    flops = 64.0 * kDotChains * kDotSteps;
  }
#endif
  if (flops == 0.0) flops = MultiplyAdd(kDotSteps, &result);
  g_sink.fetch_xor(static_cast<uint64_t>(result), std::memory_order_relaxed);
  return flops;
}

}  // namespace

double Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

Ceilings::Ceilings(kernels::ComputePool* pool) : pool_(pool) {
  void* memory =
      mmap(nullptr, kReadBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHORUS_CHECK(memory != MAP_FAILED);
#ifdef MADV_HUGEPAGE
  madvise(memory, kReadBytes, MADV_HUGEPAGE);
#endif
  // Untouched pages would all be the one page of zeros.
  std::memset(memory, 1, kReadBytes);
  memory_ = static_cast<std::byte*>(memory);
}

Ceilings::~Ceilings() { munmap(memory_, kReadBytes); }

double Ceilings::MeasureReadBandwidth() {
  const int64_t part = kReadBytes / pool_->num_workers() / 4096 * 4096;
  const double start = Now();
  pool_->Run([&](int worker) {
    g_sink.fetch_xor(ReadAll(memory_ + worker * part, part), std::memory_order_relaxed);
  });
  const double rate = static_cast<double>(part * pool_->num_workers()) / (Now() - start);
  read_bandwidth_ = std::max(read_bandwidth_, rate);
  return rate;
}

double Ceilings::MeasureComputeRate() {
  double flops = 0.0;
  const double start = Now();
  pool_->Run([&](int worker) {
    const double done = Compute();
    if (worker == 0) flops = done * pool_->num_workers();
  });
  const double rate = flops / (Now() - start);
  compute_rate_ = std::max(compute_rate_, rate);
  return rate;
}

double Ceilings::Floor(double bytes, double flops) const {
  return std::max(bytes / read_bandwidth_, flops / compute_rate_);
}

}  // namespace chorus::bench
