// BatchBuilder: from the sequences that run this step to a StepPlan.
#ifndef CHORUS_ENGINE_SCHEDULE_BATCH_BUILDER_H_
#define CHORUS_ENGINE_SCHEDULE_BATCH_BUILDER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/step_plan.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

// `rows` tokens of a sequence, from its first uncomputed one on; their pages are leased.
struct PlannedSequence {
  Sequence* sequence = nullptr;
  int64_t rows = 0;
  int32_t first_sample = 0;  // into StepPlan::samples; it draws when it reaches its last token
  int32_t num_samples = 0;
};

// Fills rows, segments, page tables, copies and samples of `plan`, and the samples of `sequences`.
// Rows are sorted by slot (base first), then by their sequence's place in `sequences`; those before
// an activated LoRA's invocation are the base's.
void BuildBatch(std::span<PlannedSequence> sequences, StepPlan* plan);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_BATCH_BUILDER_H_
