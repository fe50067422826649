// A batch for paged attention on a device or the simulator: random queries, keys and values, pages
// strewn over a pool that is NaN elsewhere, a plan, and the double-precision oracle.
//
// Keys are noise, but in each page (of very long sequences: in some) one points where a head of a
// row looks and takes a large share of its softmax: an output is then a mean of few values, however
// long the sequence, and a page that is left out or in the wrong place shows.
#ifndef CHORUS_TESTS_SUPPORT_ATTENTION_CASE_H_
#define CHORUS_TESTS_SUPPORT_ATTENTION_CASE_H_

#include <vector>

#include "kernels/attention/device_attention.h"
#include "tests/support/test_pool.h"

namespace chorus::test {

struct AttentionSequence {
  int32_t rows = 0;
  int32_t tokens = 0;
};

class AttentionCase {
 public:
  // Everything follows from the arguments. `limits` may hold more than the batch.
  AttentionCase(kernels::DType dtype, const kernels::AttentionLimits& limits,
                const std::vector<AttentionSequence>& sequences, uint64_t seed,
                int32_t min_chunk_tokens = 0);

  // On the host: what the simulator takes, and what a test copies to a device.
  kernels::DeviceAttentionArgs Args();
  const kernels::AttentionLayout& layout() const { return planner_.layout(); }
  const kernels::AttentionStep& step() const { return step_; }
  int64_t q_bytes() const { return static_cast<int64_t>(q_.size()); }
  int64_t y_bytes() const { return static_cast<int64_t>(y_.size()); }
  int64_t num_page_ids() const { return static_cast<int64_t>(page_ids_.size()); }
  std::byte* plan() { return plan_.data(); }
  std::byte* y() { return y_.data(); }
  int32_t num_rows() const { return row_begin_.back(); }

  // The first output beyond its tolerance, in words; empty when there is none. Looks at every head
  // of at most `max_rows` rows of a sequence (its first, its last, and some between), and at the
  // padding rows behind the last sequence.
  std::string Difference(int32_t max_rows = 1 << 20) const;

 private:
  static kernels::AttentionPlanner MakePlanner(const kernels::AttentionLimits& limits);
  int64_t NumPages(const std::vector<AttentionSequence>& sequences) const;
  void WriteQueries(uint64_t seed);
  void WriteTokens(size_t sequence, uint64_t seed);
  void WriteNeedles(size_t sequence, uint64_t seed);
  double Token(size_t sequence, int32_t kv_head, int64_t token, int which, int64_t d) const;
  std::string RowDifference(size_t sequence, int32_t row) const;
  std::string HeadDifference(size_t sequence, int32_t row, int32_t head) const;

  kernels::DType dtype_;
  kernels::AttentionPlanner planner_;
  std::vector<AttentionSequence> sequences_;
  int32_t heads_;
  int32_t group_;
  int32_t head_dim_;
  int64_t q_stride_;
  float scale_;
  TestPool pool_;
  std::vector<int32_t> row_begin_{0};
  std::vector<int32_t> page_begin_{0};
  std::vector<int32_t> tokens_;
  std::vector<int32_t> page_ids_;
  kernels::AttentionStep step_;
  std::vector<std::byte> q_;
  std::vector<std::byte> plan_;
  std::vector<std::byte> workspace_;
  std::vector<std::byte> y_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_ATTENTION_CASE_H_
