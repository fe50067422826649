// One step of the engine as plain host data: which tokens run, where their KV lies, which rows an
// adapter touches and which rows are sampled. The scheduler writes it, the runner of every rank
// reads it; nothing in it points into either.
//
// * rows: those of one slot are adjacent; base rows (slot -1) come first, in no segment
// * sequences: each with its pages and, in order of position, its rows (`sequence_rows`); an
//   activated LoRA's may begin with the base's rows, so its rows need not be adjacent
// * samples: several choices may draw from one row's logits (n > 1)
#ifndef CHORUS_ENGINE_MODEL_STEP_PLAN_H_
#define CHORUS_ENGINE_MODEL_STEP_PLAN_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/model/layer_arrivals.h"
#include "kernels/copy/copy_pages.h"
#include "kernels/copy/host_pages.h"
#include "kernels/lora/slots.h"
#include "kernels/sampling/sample.h"

namespace chorus::engine {

// Slot `slot` holds `contents` from this step on; null empties it.
struct SlotChange {
  int32_t slot = 0;
  std::shared_ptr<const kernels::LoraSlot> contents;  // shared with the residency that made it
};

struct PlannedSample {
  int32_t row = 0;                                  // batch row whose logits are drawn from
  const kernels::SamplingParams* params = nullptr;  // lives with its request, past the step
  std::vector<int32_t> prompt;                      // empty unless a penalty needs it
  std::vector<int32_t> output;                      // empty unless a penalty needs it
  int32_t choice = 0;
  int64_t position = 0;  // of the token to be drawn
};

struct StepPlan {
  uint64_t epoch = 0;  // one more each step

  std::vector<int32_t> tokens;     // [rows]
  std::vector<int32_t> positions;  // [rows]
  std::vector<int32_t> row_pages;  // [rows] the page that receives the row's K and V
  std::vector<kernels::LoraSegment> segments;
  int64_t rank_sum = 0;  // Σ over segments of their adapters' largest rank

  std::vector<int32_t> sequence_rows;        // [rows] a permutation of the rows
  std::vector<int32_t> sequence_rows_begin;  // [sequences + 1]
  std::vector<int32_t> page_ids;             // every sequence's pages, in order of position
  std::vector<int32_t> page_begin;           // [sequences + 1]

  std::vector<PlannedSample> samples;
  std::vector<SlotChange> slot_changes;  // applied before anything is computed
  // Likewise, in all slabs: first pages are saved on the host, then others brought back from
  // there, then copied within the pool.
  std::vector<kernels::HostPageCopy> saves;
  std::vector<kernels::HostPageCopy> restores;
  std::vector<kernels::PageCopy> page_copies;
  // Adapters of this step that are still on their way, layer by layer.
  std::vector<std::shared_ptr<const LayerArrivals>> arrivals;

  int64_t num_rows() const { return static_cast<int64_t>(tokens.size()); }
};

struct StepResult {
  std::vector<kernels::SampledToken> tokens;  // one per sample, in order
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_STEP_PLAN_H_
