// What the machine gives at best, measured in the same process and in turns with what is compared
// with it: read bandwidth over more memory than the caches hold, and the rate of multiply-adds.
#ifndef CHORUS_BENCH_CEILINGS_H_
#define CHORUS_BENCH_CEILINGS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/device/compute_pool.h"

namespace chorus::bench {

// Keeps the best of everything it has measured. Not thread-safe; probes run on `pool`'s workers.
class Ceilings {
 public:
  static constexpr int64_t kReadBytes = int64_t{320} << 20;

  // `pool` must outlive the object. Takes kReadBytes of memory, on huge pages where there are.
  explicit Ceilings(kernels::ComputePool* pool);
  ~Ceilings();
  Ceilings(const Ceilings&) = delete;
  Ceilings& operator=(const Ceilings&) = delete;

  // One measurement each, of all workers together; it also updates the best.
  double MeasureReadBandwidth();  // bytes/s, one pass over the memory: 5 to 15 ms
  double MeasureComputeRate();    // FLOP/s of vdpbf16ps, without it of f32 multiply-adds: 2 ms

  // Both once more; call it in turns with what is measured.
  void Measure() {
    MeasureReadBandwidth();
    MeasureComputeRate();
  }
  double read_bandwidth() const { return read_bandwidth_; }
  double compute_rate() const { return compute_rate_; }

  // Seconds that `bytes` read and `flops` computed take at the least.
  double Floor(double bytes, double flops) const;

 private:
  kernels::ComputePool* pool_;
  std::byte* memory_;
  double read_bandwidth_ = 0.0;
  double compute_rate_ = 0.0;
};

// Monotonic time in seconds.
double Now();

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_CEILINGS_H_
