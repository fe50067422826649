#include "bench/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

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

// Several streams at once: one alone does not keep enough lines in flight.
CHORUS_TARGET_BF16 uint64_t ReadWide(const std::byte* data, int64_t bytes) {
  constexpr int64_t kStreams = 4;
  const int64_t stream = bytes / kStreams / 256 * 256;
  __m512i sums[kStreams] = {};
  for (int64_t i = 0; i < stream; i += 256) {
    for (int64_t s = 0; s < kStreams; ++s) {
      const std::byte* const at = data + s * stream + i;
      _mm_prefetch(reinterpret_cast<const char*>(at + 2048), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(at + 2048 + 64), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(at + 2048 + 128), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(at + 2048 + 192), _MM_HINT_T0);
      const __m512i a = _mm512_or_si512(_mm512_load_si512(at), _mm512_load_si512(at + 64));
      const __m512i b = _mm512_or_si512(_mm512_load_si512(at + 128), _mm512_load_si512(at + 192));
      sums[s] = _mm512_or_si512(sums[s], _mm512_or_si512(a, b));
    }
  }
  uint64_t words[8];
  _mm512_storeu_si512(
      words, _mm512_or_si512(_mm512_or_si512(sums[0], sums[1]), _mm512_or_si512(sums[2], sums[3])));
  return words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4] ^ words[5] ^ words[6] ^ words[7];
}

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

uint64_t ReadPlain(const std::byte* data, int64_t bytes) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, data + i, sizeof(word));
    sum |= word;
  }
  return sum;
}

float PlainChains() {
  float sums[8 * kDotChains];
  for (int i = 0; i < 8 * kDotChains; ++i) sums[i] = static_cast<float>(i);
  for (int64_t step = 0; step < kDotSteps / 8; ++step) {
    for (float& sum : sums) sum = sum * 0.5f + 1.0f;
  }
  float total = 0.0f;
  for (const float sum : sums) total += sum;
  return total;
}

uint64_t Read(const std::byte* data, int64_t bytes) {
#if defined(__x86_64__)
  if (kernels::CpuHasBf16()) return ReadWide(data, bytes);
#endif
  return ReadPlain(data, bytes);
}

// FLOPs done.
double Compute() {
  float result;
  double flops;
#if defined(__x86_64__)
  if (kernels::CpuHasBf16()) {
    result = DotChains();
    flops = 64.0 * kDotChains * kDotSteps;
  } else
#endif
  {
    result = PlainChains();
    flops = 2.0 * 8 * kDotChains * (kDotSteps / 8);
  }
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
    g_sink.fetch_xor(Read(memory_ + worker * part, part), std::memory_order_relaxed);
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
