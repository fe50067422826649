#include "engine/model/step_block.h"

#include "kernels/checked.h"

namespace chorus::engine {

StepBlock StepBlock::Make(const StepLimits& limits) {
  StepBlock block;
  int64_t end = 0;
  const auto place = [&](int64_t count, size_t element_bytes) {
    const int64_t at = end;
    end = kernels::RoundUp<int64_t>(end + count * static_cast<int64_t>(element_bytes), 256);
    return at;
  };
  block.tokens = place(limits.max_rows, 4);
  block.positions = place(limits.max_rows, 4);
  block.row_pages = place(limits.max_rows, 4);
  block.kept_rows = place(limits.max_rows, 4);
  block.segments = place(limits.max_segments, sizeof(kernels::LoraSegment));
  block.num_segments = place(1, 4);
  block.page_copies = place(limits.max_page_copies, sizeof(kernels::PageCopy));
  block.num_page_copies = place(1, 4);
  block.sample_rows = place(limits.max_samples, sizeof(kernels::DeviceSampleRow));
  block.sample_counts = place(limits.max_sample_launches, 4);
  block.decode_plan = place(limits.plan_bytes, 1);
  block.chunk_plan = place(limits.plan_bytes, 1);
  block.page_ids = place(limits.max_page_ids, 4);
  block.penalties = place(limits.max_penalties, sizeof(kernels::SamplePenalty));
  block.biases = place(limits.max_biases, sizeof(kernels::SampleBias));
  block.bytes = end;
  return block;
}

}  // namespace chorus::engine
