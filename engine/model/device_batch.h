// DeviceBatch: a step's rows in the order in which a device computes them. Attention wants the rows
// of a sequence together and decodes apart from prompts, LoRA those of an adapter, so:
//
//   [sequences with one row, by slot] [sequences with more, each in order of position]
//
// and a segment ends where the slot changes. Pure C++; reused from step to step.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_BATCH_H_
#define CHORUS_ENGINE_MODEL_DEVICE_BATCH_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/model/step_plan.h"
#include "kernels/attention/plan.h"

namespace chorus::engine {

// The sequences of one of the step's two attention launches.
struct LaunchSequences {
  std::vector<int32_t> row_begin;   // [sequences + 1] rows of the launch, from 0
  std::vector<int32_t> page_begin;  // [sequences + 1] into the batch's page ids
  std::vector<int32_t> tokens;      // [sequences] in its pages

  int32_t rows() const { return row_begin.back(); }
  kernels::AttentionBatch View() const { return {row_begin, page_begin, tokens}; }
};

class DeviceBatch {
 public:
  // InvalidArgument when the plan is not well formed: what is read here is checked here.
  absl::Status Build(const StepPlan& plan);

  int32_t num_rows() const { return static_cast<int32_t>(plan_rows_.size()); }
  const std::vector<int32_t>& plan_rows() const { return plan_rows_; }  // [rows] of the plan
  // Where the plan's row lies. REQUIRES: it has one.
  int32_t RowOf(int32_t plan_row) const { return rows_[static_cast<size_t>(plan_row)]; }
  const std::vector<kernels::LoraSegment>& segments() const { return segments_; }
  const std::vector<int32_t>& page_ids() const { return page_ids_; }
  const LaunchSequences& decodes() const { return decodes_; }  // its rows come first
  const LaunchSequences& chunks() const { return chunks_; }

 private:
  absl::Status CheckShape(const StepPlan& plan) const;
  absl::Status MarkSlots(const StepPlan& plan);
  absl::Status AddSequence(const StepPlan& plan, size_t sequence, LaunchSequences* launch);
  void CutSegments();

  std::vector<int32_t> plan_rows_, rows_, plan_slots_;
  std::vector<kernels::LoraSegment> segments_;
  std::vector<int32_t> page_ids_;
  std::vector<size_t> order_;  // of the sequences with one row
  LaunchSequences decodes_, chunks_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_BATCH_H_
