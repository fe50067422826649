// StepBlock: everything that a step tells a device, as one block: written to pinned memory, copied
// at once, read by the kernels where they were told at the capture. What every step needs comes
// first; penalties and biases, which few steps have, are copied apart.
#ifndef CHORUS_ENGINE_MODEL_STEP_BLOCK_H_
#define CHORUS_ENGINE_MODEL_STEP_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "kernels/copy/page_copy.h"
#include "kernels/lora/slots.h"
#include "kernels/sampling/sample_kernel.h"

namespace chorus::engine {

struct StepLimits {
  int32_t max_rows = 0;  // padding included
  int32_t max_segments = 0;
  int32_t max_page_copies = 0;
  int32_t max_samples = 0;
  int32_t max_sample_launches = 0;
  int32_t plan_bytes = 0;  // of an attention plan
  int32_t max_page_ids = 0;
  int32_t max_penalties = 0;
  int32_t max_biases = 0;
};

// Where the arrays lie, in bytes from the block's start.
struct StepBlock {
  static StepBlock Make(const StepLimits& limits);

  int64_t tokens = 0;           // [max_rows] int32
  int64_t positions = 0;        // [max_rows] int32
  int64_t row_pages = 0;        // [max_rows] int32
  int64_t kept_rows = 0;        // [max_rows] int32: rows whose logits are made, then -1
  int64_t segments = 0;         // [max_segments] LoraSegment
  int64_t num_segments = 0;     // [1] int32
  int64_t page_copies = 0;      // [max_page_copies] PageCopy
  int64_t num_page_copies = 0;  // [1] int32
  int64_t sample_rows = 0;      // [max_samples] DeviceSampleRow
  int64_t sample_counts = 0;    // [max_sample_launches] int32
  int64_t decode_plan = 0;      // [plan_bytes]
  int64_t chunk_plan = 0;       // [plan_bytes]
  int64_t page_ids = 0;         // [max_page_ids] int32
  int64_t penalties = 0;        // [max_penalties] SamplePenalty
  int64_t biases = 0;           // [max_biases] SampleBias
  int64_t bytes = 0;

  // Array `at` of the block that begins at `base`.
  template <class T>
  static T* Array(std::byte* base, int64_t at) {
    return reinterpret_cast<T*>(base + at);
  }
  template <class T>
  static const T* Array(const std::byte* base, int64_t at) {
    return reinterpret_cast<const T*>(base + at);
  }
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_STEP_BLOCK_H_
