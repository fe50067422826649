#include "engine/model/cpu_runner.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/copy/copy_pages.h"
#include "kernels/sampling/sample.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::TensorView;

std::string Geometry(int32_t slabs, int32_t kv_heads, int32_t head_dim, DType type) {
  return absl::StrCat(slabs, " slabs of ", kv_heads, " x ", head_dim, " ",
                      std::string(kernels::Name(type)));
}

// A count from least to most.
absl::Status CheckOption(const char* name, int64_t got, int64_t least, int64_t most) {
  if (got >= least && got <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("runner: ", name, ": expected ", least, " to ", most, ", got ", got));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuRunner>> CpuRunner::Create(const ModelConfig& config,
                                                             Weights weights,
                                                             const kernels::PoolView& pool,
                                                             const CpuRunnerOptions& options) {
  if (pool.dtype != weights.dtype() || pool.num_slabs != config.layers ||
      pool.kv_heads != config.kv_heads || pool.head_dim != config.head_dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("pool: expected ",
                     Geometry(config.layers, config.kv_heads, config.head_dim, weights.dtype()),
                     ", got ", Geometry(pool.num_slabs, pool.kv_heads, pool.head_dim, pool.dtype)));
  }
  CHORUS_RETURN_IF_ERROR(CheckOption("num_workers", options.num_workers, 1, 1024));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_rows", options.max_rows, 1, 1 << 20));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_slots", options.max_slots, 1, 1 << 24));
  CHORUS_RETURN_IF_ERROR(
      CheckOption("valid_vocabulary", options.valid_vocabulary, 0, config.vocabulary));
  CpuRunnerOptions checked = options;
  if (checked.valid_vocabulary == 0) checked.valid_vocabulary = config.vocabulary;
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<CpuDecoder> decoder,
                          CpuDecoder::Create(config, std::move(weights), pool, options.max_rows));
  return std::unique_ptr<CpuRunner>(new CpuRunner(std::move(decoder), pool, checked));
}

CpuRunner::CpuRunner(std::unique_ptr<CpuDecoder> decoder, const kernels::PoolView& pool,
                     const CpuRunnerOptions& options)
    : decoder_(std::move(decoder)),
      pool_(pool),
      options_(options),
      workers_(options.num_workers),
      stream_(kernels::Stream::Cpu(&workers_)) {}

absl::StatusOr<StepResult> CpuRunner::Run(const StepPlan& plan) {
  kept_rows_.clear();
  for (const PlannedSample& sample : plan.samples) kept_rows_.push_back(sample.row);
  std::sort(kept_rows_.begin(), kept_rows_.end());
  kept_rows_.erase(std::unique(kept_rows_.begin(), kept_rows_.end()), kept_rows_.end());
  CHORUS_RETURN_IF_ERROR(Forward(plan));

  order_.resize(plan.samples.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::stable_sort(order_.begin(), order_.end(),
                   [&](size_t a, size_t b) { return plan.samples[a].row < plan.samples[b].row; });
  StepResult result;
  result.tokens.resize(plan.samples.size());
  const auto kept = static_cast<int64_t>(kept_rows_.size());
  size_t done = 0;
  for (int64_t first = 0; first < kept; first += CpuDecoder::kMaxLogitRows) {
    const int64_t count = std::min(kept - first, CpuDecoder::kMaxLogitRows);
    CHORUS_ASSIGN_OR_RETURN(done, SampleRows(plan, first, count, done, &result));
  }
  return result;
}

absl::StatusOr<size_t> CpuRunner::SampleRows(const StepPlan& plan, int64_t first, int64_t count,
                                             size_t begin, StepResult* result) {
  samples_.clear();
  size_t end = begin;
  for (; end < order_.size(); ++end) {
    const PlannedSample& planned = plan.samples[order_[end]];
    const int64_t logits_row = KeptIndex(planned.row) - first;
    if (logits_row >= count) break;
    samples_.push_back({.logits_row = static_cast<int32_t>(logits_row),
                        .params = planned.params,
                        .prompt = planned.prompt,
                        .output = planned.output,
                        .choice = planned.choice,
                        .position = planned.position});
  }
  drawn_.resize(samples_.size());
  CHORUS_ASSIGN_OR_RETURN(const TensorView logits, decoder_->Logits(first, count, stream_));
  CHORUS_RETURN_IF_ERROR(kernels::Sample({.logits = logits,
                                          .valid_vocabulary = options_.valid_vocabulary,
                                          .rows = samples_,
                                          .tokens = drawn_},
                                         stream_));
  for (size_t i = begin; i < end; ++i) result->tokens[order_[i]] = std::move(drawn_[i - begin]);
  return end;
}

absl::StatusOr<std::vector<float>> CpuRunner::RunForLogits(const StepPlan& plan,
                                                           std::span<const int32_t> rows) {
  kept_rows_.assign(rows.begin(), rows.end());
  std::sort(kept_rows_.begin(), kept_rows_.end());
  kept_rows_.erase(std::unique(kept_rows_.begin(), kept_rows_.end()), kept_rows_.end());
  CHORUS_RETURN_IF_ERROR(Forward(plan));
  const auto kept = static_cast<int64_t>(kept_rows_.size());
  std::vector<float> result;
  for (int64_t first = 0; first < kept; first += CpuDecoder::kMaxLogitRows) {
    const int64_t count = std::min(kept - first, CpuDecoder::kMaxLogitRows);
    CHORUS_ASSIGN_OR_RETURN(const TensorView logits, decoder_->Logits(first, count, stream_));
    const auto vocabulary = static_cast<size_t>(logits.cols);
    result.resize(rows.size() * vocabulary);
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t row = KeptIndex(rows[i]) - first;
      if (row < 0 || row >= count) continue;
      std::copy_n(logits.Row<float>(row), vocabulary, result.begin() + i * vocabulary);
    }
  }
  return result;
}

int64_t CpuRunner::KeptIndex(int32_t row) const {
  return std::lower_bound(kept_rows_.begin(), kept_rows_.end(), row) - kept_rows_.begin();
}

absl::Status CpuRunner::Forward(const StepPlan& plan) {
  CHORUS_RETURN_IF_ERROR(CheckPlan(plan));
  for (const SlotChange& change : plan.slot_changes) {
    const auto slot = static_cast<size_t>(change.slot);
    if (slot >= slots_.size()) slots_.resize(slot + 1);
    slots_[slot] = change.contents == nullptr ? kernels::LoraSlot{} : *change.contents;
  }
  const kernels::HostPagesView& host = options_.host_pages;
  CHORUS_RETURN_IF_ERROR(
      kernels::SavePages({.pool = pool_, .host = host, .copies = plan.saves}, stream_));
  CHORUS_RETURN_IF_ERROR(
      kernels::RestorePages({.pool = pool_, .host = host, .copies = plan.restores}, stream_));
  CHORUS_RETURN_IF_ERROR(kernels::CopyPages({.pool = pool_, .copies = plan.page_copies}, stream_));
  if (plan.num_rows() == 0) return absl::OkStatus();
  return decoder_->Run(plan, kept_rows_, slots_, stream_);
}

// What the ops do not check themselves, and would crash on.
absl::Status CpuRunner::CheckPlan(const StepPlan& plan) const {
  const auto wrong = [](const char* what, int64_t got, int64_t end) {
    return absl::InvalidArgumentError(
        absl::StrCat("step plan: ", what, ": expected 0 to ", end - 1, ", got ", got));
  };
  const int64_t rows = plan.num_rows();
  if (rows > decoder_->max_rows()) return wrong("rows", rows, decoder_->max_rows() + 1);
  if (!kept_rows_.empty() && (kept_rows_.front() < 0 || kept_rows_.back() >= rows)) {
    return wrong("sampled row", kept_rows_.front() < 0 ? kept_rows_.front() : kept_rows_.back(),
                 rows);
  }
  for (const SlotChange& change : plan.slot_changes) {
    if (change.slot < 0 || change.slot >= options_.max_slots) {
      return wrong("slot", change.slot, options_.max_slots);
    }
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
