#include "engine/model/attention_plans.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/linear/row_buckets.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::AttentionLimits;
using kernels::AttentionPlanner;

// The planner of the bucket `rows`. REQUIRES: there is one.
const AttentionPlanner& Find(const std::vector<AttentionPlanner>& planners, int32_t rows) {
  const auto found = std::lower_bound(
      planners.begin(), planners.end(), rows,
      [](const AttentionPlanner& a, int32_t b) { return a.layout().limits.max_rows < b; });
  CHORUS_CHECK(found != planners.end() && found->layout().limits.max_rows == rows);
  return *found;
}

}  // namespace

absl::StatusOr<AttentionPlans> AttentionPlans::Create(kernels::Device* device,
                                                      const ModelConfig& config, int32_t max_rows,
                                                      int32_t decode_chunk_tokens) {
  AttentionPlans plans;
  plans.decode_chunk_tokens_ = decode_chunk_tokens;
  int64_t workspace_bytes = 0;
  const auto add = [&](AttentionLimits::Kind kind, int32_t rows,
                       std::vector<AttentionPlanner>* planners) {
    const absl::StatusOr<AttentionPlanner> planner = AttentionPlanner::Create(
        {.kind = kind,
         .heads = config.heads,
         .kv_heads = config.kv_heads,
         .head_dim = config.head_dim,
         .multiprocessors = device->info().multiprocessors,
         .max_sequences = kind == AttentionLimits::Kind::kDecode ? rows : (rows + 1) / 2,
         .max_rows = rows,
         .captured = false});
    CHORUS_RETURN_IF_ERROR(planner.status());
    plans.plan_bytes_ = std::max(plans.plan_bytes_, planner->layout().bytes);
    workspace_bytes = std::max(workspace_bytes, planner->layout().workspace_bytes());
    planners->push_back(*planner);
    return absl::OkStatus();
  };
  for (const int32_t rows : kernels::DecodeRowBuckets(max_rows)) {
    CHORUS_RETURN_IF_ERROR(add(AttentionLimits::Kind::kDecode, rows, &plans.decodes_));
  }
  for (const int32_t rows : kernels::PrefillRowBuckets(max_rows)) {
    CHORUS_RETURN_IF_ERROR(add(AttentionLimits::Kind::kChunks, rows, &plans.chunks_));
  }
  CHORUS_ASSIGN_OR_RETURN(plans.workspace_, device->Allocate(workspace_bytes));
  return plans;
}

absl::Status AttentionPlans::Plan(const DeviceBatch& batch, std::byte* decode_plan,
                                  std::byte* chunk_plan, StepShape* shape) const {
  const int32_t decodes = batch.decodes().rows();
  const int32_t chunks = batch.chunks().rows();
  const bool is_decode = chunks == 0 && shape->chunk_rows == 0;
  const int32_t rows = std::max(batch.num_rows(), shape->rows);
  shape->rows = is_decode ? kernels::DecodeRowBucket(rows) : kernels::PrefillRowBucket(rows);
  if (decodes > 0 || shape->decode_rows > 0) {
    // A step of decodes has one size, so that its graph has one.
    const int32_t least = is_decode ? shape->rows : std::max(decodes, shape->decode_rows);
    shape->decode_rows = kernels::DecodeRowBucket(least);
    kernels::AttentionBatch view = batch.decodes().View();
    view.min_chunk_tokens =
        shape->decode_chunk_tokens != 0 ? shape->decode_chunk_tokens : decode_chunk_tokens_;
    CHORUS_ASSIGN_OR_RETURN(const kernels::AttentionStep step,
                            Find(decodes_, shape->decode_rows).Plan(view, decode_plan));
    shape->decode_chunk_tokens = step.chunk_tokens;
  }
  if (!is_decode) {
    shape->chunk_rows = kernels::PrefillRowBucket(std::max(chunks, shape->chunk_rows));
    kernels::AttentionBatch view = batch.chunks().View();
    view.min_chunk_tokens = shape->prompt_chunk_tokens;
    CHORUS_ASSIGN_OR_RETURN(const kernels::AttentionStep step,
                            Find(chunks_, shape->chunk_rows).Plan(view, chunk_plan));
    shape->prompt_chunk_tokens = step.chunk_tokens;
    shape->prompt_split = step.split;
  }
  shape->lora = shape->lora || !batch.segments().empty();
  return absl::OkStatus();
}

const kernels::AttentionLayout& AttentionPlans::DecodeLayout(int32_t rows) const {
  return Find(decodes_, rows).layout();
}

const kernels::AttentionLayout& AttentionPlans::ChunkLayout(int32_t rows) const {
  return Find(chunks_, rows).layout();
}

}  // namespace chorus::engine
