// The loops that Ceilings times.
#ifndef CHORUS_BENCH_CEILING_LOOPS_H_
#define CHORUS_BENCH_CEILING_LOOPS_H_

#include <cstddef>
#include <cstdint>

namespace chorus::bench {

// Reads `bytes`, a multiple of 1024, from `data`, aligned to 64; returns something of all of them.
uint64_t ReadAll(const std::byte* data, int64_t bytes);

// So many multiply-adds in f32 one after another, in as many chains as hide their latency. Adds to
// `sum`; returns the FLOPs done.
double MultiplyAdd(int64_t steps, float* sum);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_CEILING_LOOPS_H_
