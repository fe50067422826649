#include "engine/model/cpu_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/activation/silu_mul.h"
#include "kernels/attention/paged_attention.h"
#include "kernels/check.h"
#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"
#include "kernels/lora/expand.h"
#include "kernels/lora/shrink.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/rope/rope_append_kv.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::LoraSite;
using kernels::Stream;
using kernels::TensorView;

int64_t HeadsWidth(const ModelConfig& config) { return int64_t{config.heads} * config.head_dim; }

int64_t QkvWidth(const ModelConfig& config) {
  return (config.heads + int64_t{2} * config.kv_heads) * config.head_dim;
}

LoraSite MakeSite(const ModelConfig& config, std::initializer_list<kernels::LoraModule> modules) {
  LoraSite site;
  int64_t column = 0;
  for (const kernels::LoraModule module : modules) {
    site.modules[site.num_modules] = module;
    site.y_column[site.num_modules] = column;
    site.y_width[site.num_modules] = config.linear(module).outputs;
    column += site.y_width[site.num_modules++];
  }
  return site;
}

const float* DataOrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

// Moves row kept[i] to row i. REQUIRES: `kept` ascends, so that no row is overwritten unread.
void MoveToFront(const TensorView& tensor, std::span<const int32_t> kept) {
  auto* const data = static_cast<std::byte*>(tensor.data);
  const auto row_bytes = static_cast<size_t>(tensor.cols * kernels::ByteSize(tensor.dtype));
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto from = static_cast<size_t>(kept[i]);
    if (from != i) std::memcpy(data + i * row_bytes, data + from * row_bytes, row_bytes);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuDecoder>> CpuDecoder::Create(const ModelConfig& config,
                                                               Weights weights,
                                                               const kernels::PoolView& pool,
                                                               int64_t max_rows) {
  std::unique_ptr<CpuDecoder> decoder(new CpuDecoder(config, std::move(weights), pool));
  CHORUS_RETURN_IF_ERROR(decoder->AllocateWorkspaces(max_rows));
  return decoder;
}

CpuDecoder::CpuDecoder(const ModelConfig& config, Weights weights, const kernels::PoolView& pool)
    : config_(config),
      weights_(std::move(weights)),
      pool_(pool),
      rope_(ComputeRope(config.rope, config.head_dim)),
      qkv_site_(MakeSite(config, {kernels::kQ, kernels::kK, kernels::kV})),
      o_site_(MakeSite(config, {kernels::kO})),
      gate_up_site_(MakeSite(config, {kernels::kGate, kernels::kUp})),
      down_site_(MakeSite(config, {kernels::kDown})) {}

absl::Status CpuDecoder::AllocateWorkspaces(int64_t max_rows) {
  const int64_t hidden = config_.hidden;
  const int64_t intermediate = config_.intermediate;
  const auto allocate = [](DType type, int64_t rows, int64_t cols, HostTensor* out) {
    absl::StatusOr<HostTensor> tensor = HostTensor::Allocate(type, rows, cols);
    if (tensor.ok()) *out = *std::move(tensor);
    return tensor.status();
  };
  CHORUS_RETURN_IF_ERROR(allocate(DType::kF32, max_rows, hidden, &residual_));
  CHORUS_RETURN_IF_ERROR(allocate(weights_.dtype(), max_rows,
                                  std::max({hidden, HeadsWidth(config_), intermediate}), &narrow_));
  CHORUS_RETURN_IF_ERROR(
      allocate(DType::kF32, max_rows, std::max(QkvWidth(config_), 2 * intermediate), &wide_));
  CHORUS_RETURN_IF_ERROR(allocate(DType::kF32, max_rows, int64_t{3} * kernels::kMaxLoraRank, &xa_));
  CHORUS_RETURN_IF_ERROR(allocate(DType::kF32, max_rows, config_.head_dim, &cos_sin_));
  return allocate(DType::kF32, std::min(max_rows, kMaxLogitRows), config_.vocabulary, &logits_);
}

int64_t CpuDecoder::workspace_bytes() const {
  return residual_.bytes() + narrow_.bytes() + wide_.bytes() + xa_.bytes() + cos_sin_.bytes() +
         logits_.bytes();
}

absl::Status CpuDecoder::Run(const StepPlan& plan, std::span<const int32_t> kept,
                             const kernels::LoraSlotTable& slots, const Stream& stream) {
  CHORUS_CHECK_LE(plan.num_rows(), max_rows());
  Batch batch{plan.num_rows(), plan.segments, &slots, stream};
  CHORUS_RETURN_IF_ERROR(kernels::Embedding(
      {.tokens = plan.tokens, .table = &weights_.embedding(), .y = residual_.View(batch.rows)},
      stream));
  CHORUS_RETURN_IF_ERROR(kernels::RopeTable({.positions = plan.positions,
                                             .inv_freq = rope_.inv_freq,
                                             .attention_scaling = rope_.attention_scaling,
                                             .cos_sin = cos_sin_.View(batch.rows)},
                                            stream));
  for (int32_t layer = 0; layer < config_.layers; ++layer) {
    const bool last = layer + 1 == config_.layers;
    CHORUS_RETURN_IF_ERROR(AppendKv(plan, batch, layer));
    if (last && kept.empty()) return absl::OkStatus();
    CHORUS_RETURN_IF_ERROR(Attend(plan, batch, layer));
    // Nobody reads what the last layer would make of the other rows.
    if (last) batch = Keep(batch, kept);
    CHORUS_RETURN_IF_ERROR(ProjectOut(batch, layer));
    CHORUS_RETURN_IF_ERROR(Mlp(batch, layer));
  }
  return absl::OkStatus();
}

absl::Status CpuDecoder::AppendKv(const StepPlan& plan, const Batch& batch, int32_t layer) {
  const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
  const TensorView x = narrow_.View(batch.rows, config_.hidden);
  const TensorView qkv = wide_.View(batch.rows, QkvWidth(config_));
  CHORUS_RETURN_IF_ERROR(kernels::RmsNorm({.x = residual_.View(batch.rows),
                                           .weight = weights.input_norm.data(),
                                           .eps = config_.rms_norm_eps,
                                           .y = x},
                                          batch.stream));
  CHORUS_RETURN_IF_ERROR(kernels::Linear(
      {.x = x, .weight = &weights.qkv, .bias = DataOrNull(weights.qkv_bias), .y = qkv},
      batch.stream));
  CHORUS_RETURN_IF_ERROR(Lora(batch, layer, qkv_site_, x, qkv));
  return kernels::RopeAppendKv({.qkv = qkv,
                                .cos_sin = cos_sin_.View(batch.rows),
                                .q_norm = DataOrNull(weights.q_norm),
                                .k_norm = DataOrNull(weights.k_norm),
                                .norm_eps = config_.rms_norm_eps,
                                .heads = config_.heads,
                                .positions = plan.positions,
                                .page_ids = plan.row_pages,
                                .pool = pool_,
                                .slab = layer},
                               batch.stream);
}

absl::Status CpuDecoder::Attend(const StepPlan& plan, const Batch& batch, int32_t layer) {
  return kernels::PagedAttention(
      {.q = wide_.View(batch.rows, QkvWidth(config_)).Columns(0, HeadsWidth(config_)),
       .positions = plan.positions,
       .rows = plan.sequence_rows,
       .row_begin = plan.sequence_rows_begin,
       .page_ids = plan.page_ids,
       .page_begin = plan.page_begin,
       .heads = config_.heads,
       .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
       .pool = pool_,
       .slab = layer,
       .y = narrow_.View(batch.rows, HeadsWidth(config_))},
      batch.stream);
}

absl::Status CpuDecoder::ProjectOut(const Batch& batch, int32_t layer) {
  const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
  const TensorView x = narrow_.View(batch.rows, HeadsWidth(config_));
  const TensorView residual = residual_.View(batch.rows);
  CHORUS_RETURN_IF_ERROR(kernels::Linear({.x = x,
                                          .weight = &weights.o,
                                          .bias = DataOrNull(weights.o_bias),
                                          .accumulate = true,
                                          .y = residual},
                                         batch.stream));
  return Lora(batch, layer, o_site_, x, residual);
}

absl::Status CpuDecoder::Mlp(const Batch& batch, int32_t layer) {
  const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
  const TensorView residual = residual_.View(batch.rows);
  const TensorView x = narrow_.View(batch.rows, config_.hidden);
  const TensorView gate_up = wide_.View(batch.rows, int64_t{2} * config_.intermediate);
  CHORUS_RETURN_IF_ERROR(kernels::RmsNorm({.x = residual,
                                           .weight = weights.post_attention_norm.data(),
                                           .eps = config_.rms_norm_eps,
                                           .y = x},
                                          batch.stream));
  CHORUS_RETURN_IF_ERROR(kernels::Linear(
      {.x = x, .weight = &weights.gate_up, .bias = DataOrNull(weights.gate_up_bias), .y = gate_up},
      batch.stream));
  CHORUS_RETURN_IF_ERROR(Lora(batch, layer, gate_up_site_, x, gate_up));
  const TensorView activated = narrow_.View(batch.rows, config_.intermediate);
  CHORUS_RETURN_IF_ERROR(kernels::SiluMul({.gate_up = gate_up, .y = activated}, batch.stream));
  CHORUS_RETURN_IF_ERROR(kernels::Linear({.x = activated,
                                          .weight = &weights.down,
                                          .bias = DataOrNull(weights.down_bias),
                                          .accumulate = true,
                                          .y = residual},
                                         batch.stream));
  return Lora(batch, layer, down_site_, activated, residual);
}

absl::Status CpuDecoder::Lora(const Batch& batch, int32_t layer, const LoraSite& site,
                              const TensorView& x, const TensorView& y) {
  if (batch.segments.empty()) return absl::OkStatus();
  const TensorView xa = xa_.View(batch.rows);
  CHORUS_RETURN_IF_ERROR(kernels::LoraShrink({.x = x,
                                              .segments = batch.segments,
                                              .slots = batch.slots,
                                              .pool = pool_,
                                              .layer = layer,
                                              .site = site,
                                              .xa = xa},
                                             batch.stream));
  return kernels::LoraExpand({.xa = xa,
                              .segments = batch.segments,
                              .slots = batch.slots,
                              .pool = pool_,
                              .layer = layer,
                              .site = site,
                              .y = y},
                             batch.stream);
}

CpuDecoder::Batch CpuDecoder::Keep(const Batch& batch, std::span<const int32_t> kept) {
  const auto count = static_cast<int64_t>(kept.size());
  if (count == batch.rows) return batch;
  MoveToFront(residual_.View(batch.rows), kept);
  MoveToFront(narrow_.View(batch.rows, HeadsWidth(config_)), kept);
  kept_segments_.clear();
  for (const kernels::LoraSegment& segment : batch.segments) {
    const auto begin = std::lower_bound(kept.begin(), kept.end(), segment.first_row);
    const auto end = std::lower_bound(begin, kept.end(), segment.first_row + segment.num_rows);
    if (begin == end) continue;
    kept_segments_.push_back({segment.slot, static_cast<int32_t>(begin - kept.begin()),
                              static_cast<int32_t>(end - begin)});
  }
  return {count, kept_segments_, batch.slots, batch.stream};
}

absl::StatusOr<TensorView> CpuDecoder::Logits(int64_t first, int64_t count, const Stream& stream) {
  const TensorView x = narrow_.View(count, config_.hidden);
  const TensorView logits = logits_.View(count);
  CHORUS_RETURN_IF_ERROR(kernels::RmsNorm({.x = residual_.View(first + count).Rows(first, count),
                                           .weight = weights_.final_norm().data(),
                                           .eps = config_.rms_norm_eps,
                                           .y = x},
                                          stream));
  CHORUS_RETURN_IF_ERROR(
      kernels::Linear({.x = x, .weight = &weights_.lm_head(), .y = logits}, stream));
  return logits;
}

}  // namespace chorus::engine
