// RandomFill: random contents for a device's memory, made there: a pattern that is uploaded once is
// copied piece by piece, so that tens of gigabytes take as long as the memory does. Zeros would let
// a GPU clock higher than any model does. One thread.
#ifndef CHORUS_BENCH_GPU_RANDOM_FILL_H_
#define CHORUS_BENCH_GPU_RANDOM_FILL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace chorus::bench {

class RandomFill {
 public:
  // Takes about `pattern_bytes` of the device and of pinned memory, as long as it lives, and pinned
  // memory for vectors of up to `max_vector` elements. `device` must outlive it.
  static absl::StatusOr<RandomFill> Create(kernels::Device* device, int64_t pattern_bytes,
                                           int64_t max_vector);

  // Enqueue. Numbers of about ±0.06, bf16; another `salt` begins elsewhere in the pattern.
  // REQUIRES: `bytes` is even.
  absl::Status Bf16(std::byte* to, int64_t bytes, uint64_t salt);
  // The same as f32, plus `offset`, which is 0 or 1. REQUIRES: count <= max_vector.
  absl::Status Floats(std::byte* to, int64_t count, int offset);
  // Blocks until everything is there.
  absl::Status Finish() { return stream_->Synchronize(); }

 private:
  std::unique_ptr<kernels::DeviceStream> stream_;
  kernels::DeviceBuffer pattern_;
  kernels::DeviceBuffer vectors_[2];  // pinned, by offset
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_RANDOM_FILL_H_
