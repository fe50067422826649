// The numbers of rows that a step's matrices have on a device: a step is padded to the next one, so
// that few shapes exist, each with its measured GEMM and, where it decodes, its graph.
//   decode    1, 2, 4, 8, 16, 32, 64, then as prefill
//   prefill   64, 128, … 512, 768, 1024, …
#ifndef CHORUS_KERNELS_LINEAR_ROW_BUCKETS_H_
#define CHORUS_KERNELS_LINEAR_ROW_BUCKETS_H_

#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/checked.h"

namespace chorus::kernels {

constexpr int32_t kFineBucketRows = 64;
constexpr int32_t kLastFineBucket = 512;
constexpr int32_t kCoarseBucketRows = 256;

// The smallest bucket of at least `rows`. REQUIRES: 1 <= rows <= 2^30.
constexpr int32_t PrefillRowBucket(int32_t rows) {
  return RoundUp(rows, rows <= kLastFineBucket ? kFineBucketRows : kCoarseBucketRows);
}
constexpr int32_t DecodeRowBucket(int32_t rows) {
  if (rows > kFineBucketRows) return PrefillRowBucket(rows);
  return static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(rows)));
}

// Every bucket that a step of at most `max_rows` rows can need, ascending.
inline std::vector<int32_t> PrefillRowBuckets(int32_t max_rows) {
  std::vector<int32_t> buckets;
  for (int32_t rows = 1; rows <= max_rows; rows = buckets.back() + 1) {
    buckets.push_back(PrefillRowBucket(rows));
  }
  return buckets;
}
inline std::vector<int32_t> DecodeRowBuckets(int32_t max_rows) {
  std::vector<int32_t> buckets;
  for (int32_t rows = 1; rows <= max_rows; rows = buckets.back() + 1) {
    buckets.push_back(DecodeRowBucket(rows));
  }
  return buckets;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_ROW_BUCKETS_H_
