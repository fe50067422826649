#include "engine/model/cpu_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/activation/silu_mul.h"
#include "kernels/attention/paged_attention.h"
#include "kernels/copy/copy_pages.h"
#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"
#include "kernels/lora/expand.h"
#include "kernels/lora/shrink.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/rope/rope_append_kv.h"
#include "kernels/sampling/sample.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::LoraSite;
using kernels::TensorView;

// Rows of logits that are computed at once; more are computed in turns.
constexpr int64_t kLogitRows = 64;

int64_t QkvWidth(const ModelConfig& config) {
  return int64_t{config.heads + 2 * config.kv_heads} * config.head_dim;
}

LoraSite MakeSite(const ModelConfig& config, std::initializer_list<kernels::LoraModule> modules) {
  LoraSite site;
  int64_t column = 0;
  for (kernels::LoraModule module : modules) {
    const int64_t width = config.linear(module).outputs;
    site.modules[site.num_modules] = module;
    site.y_column[site.num_modules] = column;
    site.y_width[site.num_modules] = width;
    column += width;
    ++site.num_modules;
  }
  return site;
}

const float* DataOrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuRunner>> CpuRunner::Create(const ModelConfig& config,
                                                             Weights weights,
                                                             const kernels::PoolView& pool,
                                                             const CpuRunnerOptions& options) {
  if (pool.dtype != weights.dtype() || pool.num_slabs != config.layers ||
      pool.kv_heads != config.kv_heads || pool.head_dim != config.head_dim) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pool: expected ", config.layers, " slabs of ", config.kv_heads, " x ", config.head_dim,
        " ", std::string(kernels::Name(weights.dtype())), ", got ", pool.num_slabs, " of ",
        pool.kv_heads, " x ", pool.head_dim, " ", std::string(kernels::Name(pool.dtype))));
  }
  if (options.num_workers < 1 || options.max_rows < 1) {
    return absl::InvalidArgumentError("runner: expected at least one worker and one row");
  }
  return std::unique_ptr<CpuRunner>(new CpuRunner(config, std::move(weights), pool, options));
}

CpuRunner::CpuRunner(const ModelConfig& config, Weights weights, const kernels::PoolView& pool,
                     const CpuRunnerOptions& options)
    : config_(config),
      weights_(std::move(weights)),
      pool_(pool),
      options_(options),
      rope_(ComputeRope(config.rope, config.head_dim)),
      workers_(options.num_workers),
      stream_(kernels::Stream::Cpu(&workers_)),
      qkv_site_(MakeSite(config, {kernels::kQ, kernels::kK, kernels::kV})),
      o_site_(MakeSite(config, {kernels::kO})),
      gate_up_site_(MakeSite(config, {kernels::kGate, kernels::kUp})),
      down_site_(MakeSite(config, {kernels::kDown})) {
  const DType compute = weights_.dtype();
  const int64_t rows = options.max_rows;
  const int64_t heads_width = int64_t{config.heads} * config.head_dim;
  const int64_t logit_rows = std::min(rows, kLogitRows);
  hidden_ = HostTensor(DType::kF32, rows, config.hidden);
  x_ = HostTensor(compute, rows, std::max<int64_t>(config.hidden, heads_width));
  qkv_ = HostTensor(DType::kF32, rows, QkvWidth(config));
  gate_up_ = HostTensor(DType::kF32, rows, int64_t{2} * config.intermediate);
  act_ = HostTensor(compute, rows, config.intermediate);
  xa_ = HostTensor(DType::kF32, rows, int64_t{3} * kernels::kMaxLoraRank);
  cos_sin_ = HostTensor(DType::kF32, rows, config.head_dim);
  sampled_ = HostTensor(DType::kF32, logit_rows, config.hidden);
  sampled_x_ = HostTensor(compute, logit_rows, config.hidden);
  logits_ = HostTensor(DType::kF32, logit_rows, config.vocabulary);
}

absl::StatusOr<StepResult> CpuRunner::Run(const StepPlan& plan) {
  CHORUS_RETURN_IF_ERROR(Forward(plan));
  StepResult result;
  result.tokens.resize(plan.samples.size());
  // Choices that fork draw from one row: its logits are computed once.
  std::vector<int32_t> rows;
  std::vector<kernels::SampleRow> samples;
  size_t first = 0;
  for (size_t i = 0; i <= plan.samples.size(); ++i) {
    const bool last = i == plan.samples.size();
    const bool new_row = !last && (rows.empty() || plan.samples[i].row != rows.back());
    if (last || (new_row && static_cast<int64_t>(rows.size()) == logits_.rows())) {
      TensorView logits;
      CHORUS_RETURN_IF_ERROR(Logits(rows, &logits));
      CHORUS_RETURN_IF_ERROR(kernels::Sample(
          {.logits = logits,
           .valid_vocabulary =
               options_.valid_vocabulary > 0 ? options_.valid_vocabulary : config_.vocabulary,
           .rows = samples,
           .tokens = std::span(result.tokens).subspan(first, samples.size())},
          stream_));
      rows.clear();
      samples.clear();
      first = i;
      if (last) break;
    }
    const PlannedSample& planned = plan.samples[i];
    if (new_row) rows.push_back(planned.row);
    samples.push_back({.logits_row = static_cast<int32_t>(rows.size()) - 1,
                       .params = planned.params,
                       .prompt = planned.prompt,
                       .output = planned.output,
                       .choice = planned.choice,
                       .position = planned.position});
  }
  return result;
}

absl::StatusOr<std::vector<float>> CpuRunner::RunForLogits(const StepPlan& plan,
                                                           std::span<const int32_t> rows) {
  CHORUS_RETURN_IF_ERROR(Forward(plan));
  std::vector<float> result;
  while (!rows.empty()) {
    const size_t count = std::min(rows.size(), static_cast<size_t>(logits_.rows()));
    TensorView logits;
    CHORUS_RETURN_IF_ERROR(Logits(rows.first(count), &logits));
    const float* data = logits.Row<float>(0);
    result.insert(result.end(), data, data + logits.rows * logits.cols);
    rows = rows.subspan(count);
  }
  return result;
}

int64_t CpuRunner::workspace_bytes() const {
  int64_t bytes = 0;
  for (const HostTensor* tensor : {&hidden_, &x_, &qkv_, &gate_up_, &act_, &xa_, &cos_sin_,
                                   &sampled_, &sampled_x_, &logits_}) {
    bytes += tensor->bytes();
  }
  return bytes;
}

absl::Status CpuRunner::Prepare(const StepPlan& plan) {
  if (plan.num_rows() > hidden_.rows()) {
    return absl::InternalError(
        absl::StrCat("step: expected at most ", hidden_.rows(), " rows, got ", plan.num_rows()));
  }
  for (const SlotChange& change : plan.slot_changes) {
    const auto slot = static_cast<size_t>(change.slot);
    if (slot >= slots_.size()) slots_.resize(slot + 1);
    slots_[slot] = change.contents == nullptr ? kernels::LoraSlot{} : *change.contents;
  }
  return kernels::CopyPages({.pool = pool_, .copies = plan.page_copies}, stream_);
}

absl::Status CpuRunner::Forward(const StepPlan& plan) {
  CHORUS_RETURN_IF_ERROR(Prepare(plan));
  const int64_t rows = plan.num_rows();
  CHORUS_RETURN_IF_ERROR(kernels::Embedding(
      {.tokens = plan.tokens, .table = &weights_.embedding(), .y = hidden_.View(rows)}, stream_));
  CHORUS_RETURN_IF_ERROR(kernels::RopeTable({.positions = plan.positions,
                                             .inv_freq = rope_.inv_freq,
                                             .attention_scaling = rope_.attention_scaling,
                                             .cos_sin = cos_sin_.View(rows)},
                                            stream_));
  for (int32_t layer = 0; layer < config_.layers; ++layer) {
    CHORUS_RETURN_IF_ERROR(Attention(plan, layer));
    CHORUS_RETURN_IF_ERROR(Mlp(plan, layer));
  }
  return absl::OkStatus();
}

absl::Status CpuRunner::Attention(const StepPlan& plan, int32_t layer) {
  const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
  const int64_t rows = plan.num_rows();
  const int64_t heads_width = int64_t{config_.heads} * config_.head_dim;
  const TensorView hidden = hidden_.View(rows);
  const TensorView x = x_.View(rows, config_.hidden);
  const TensorView qkv = qkv_.View(rows);
  CHORUS_RETURN_IF_ERROR(kernels::RmsNorm(
      {.x = hidden, .weight = weights.input_norm.data(), .eps = config_.rms_norm_eps, .y = x},
      stream_));
  CHORUS_RETURN_IF_ERROR(kernels::Linear(
      {.x = x, .weight = &weights.qkv, .bias = DataOrNull(weights.qkv_bias), .y = qkv}, stream_));
  CHORUS_RETURN_IF_ERROR(Lora(plan, layer, qkv_site_, x, qkv));
  CHORUS_RETURN_IF_ERROR(kernels::RopeAppendKv({.qkv = qkv,
                                                .cos_sin = cos_sin_.View(rows),
                                                .q_norm = DataOrNull(weights.q_norm),
                                                .k_norm = DataOrNull(weights.k_norm),
                                                .norm_eps = config_.rms_norm_eps,
                                                .heads = config_.heads,
                                                .positions = plan.positions,
                                                .page_ids = plan.row_pages,
                                                .pool = pool_,
                                                .slab = layer},
                                               stream_));
  const TensorView attended = x_.View(rows, heads_width);
  CHORUS_RETURN_IF_ERROR(
      kernels::PagedAttention({.q = qkv.Columns(0, heads_width),
                               .positions = plan.positions,
                               .rows = plan.sequence_rows,
                               .row_begin = plan.sequence_rows_begin,
                               .page_ids = plan.page_ids,
                               .page_begin = plan.page_begin,
                               .heads = config_.heads,
                               .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                               .pool = pool_,
                               .slab = layer,
                               .y = attended},
                              stream_));
  CHORUS_RETURN_IF_ERROR(kernels::Linear({.x = attended,
                                          .weight = &weights.o,
                                          .bias = DataOrNull(weights.o_bias),
                                          .accumulate = true,
                                          .y = hidden},
                                         stream_));
  return Lora(plan, layer, o_site_, attended, hidden);
}

absl::Status CpuRunner::Mlp(const StepPlan& plan, int32_t layer) {
  const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
  const int64_t rows = plan.num_rows();
  const TensorView hidden = hidden_.View(rows);
  const TensorView x = x_.View(rows, config_.hidden);
  const TensorView gate_up = gate_up_.View(rows);
  const TensorView act = act_.View(rows);
  CHORUS_RETURN_IF_ERROR(kernels::RmsNorm({.x = hidden,
                                           .weight = weights.post_attention_norm.data(),
                                           .eps = config_.rms_norm_eps,
                                           .y = x},
                                          stream_));
  CHORUS_RETURN_IF_ERROR(kernels::Linear(
      {.x = x, .weight = &weights.gate_up, .bias = DataOrNull(weights.gate_up_bias), .y = gate_up},
      stream_));
  CHORUS_RETURN_IF_ERROR(Lora(plan, layer, gate_up_site_, x, gate_up));
  CHORUS_RETURN_IF_ERROR(kernels::SiluMul({.gate_up = gate_up, .y = act}, stream_));
  CHORUS_RETURN_IF_ERROR(kernels::Linear({.x = act,
                                          .weight = &weights.down,
                                          .bias = DataOrNull(weights.down_bias),
                                          .accumulate = true,
                                          .y = hidden},
                                         stream_));
  return Lora(plan, layer, down_site_, act, hidden);
}

absl::Status CpuRunner::Lora(const StepPlan& plan, int32_t layer, const LoraSite& site,
                             const TensorView& x, const TensorView& y) {
  if (plan.segments.empty()) return absl::OkStatus();
  const TensorView xa = xa_.View(plan.num_rows());
  CHORUS_RETURN_IF_ERROR(kernels::LoraShrink({.x = x,
                                              .segments = plan.segments,
                                              .slots = &slots_,
                                              .pool = pool_,
                                              .layer = layer,
                                              .site = site,
                                              .xa = xa},
                                             stream_));
  return kernels::LoraExpand({.xa = xa,
                              .segments = plan.segments,
                              .slots = &slots_,
                              .pool = pool_,
                              .layer = layer,
                              .site = site,
                              .y = y},
                             stream_);
}

absl::Status CpuRunner::Logits(std::span<const int32_t> rows, TensorView* logits) {
  const auto count = static_cast<int64_t>(rows.size());
  *logits = logits_.View(count);
  const TensorView sampled = sampled_.View(count);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(sampled.Row<float>(i),
                hidden_.View(hidden_.rows()).Row<float>(rows[static_cast<size_t>(i)]),
                static_cast<size_t>(config_.hidden) * sizeof(float));
  }
  const TensorView x = sampled_x_.View(count);
  CHORUS_RETURN_IF_ERROR(kernels::RmsNorm(
      {.x = sampled, .weight = weights_.final_norm().data(), .eps = config_.rms_norm_eps, .y = x},
      stream_));
  return kernels::Linear({.x = x, .weight = &weights_.lm_head(), .y = *logits}, stream_);
}

}  // namespace chorus::engine
