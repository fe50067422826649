#include "engine/model/device_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/model/rope.h"
#include "kernels/activation/silu_mul_kernel.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/embedding/embedding_kernel.h"
#include "kernels/linear/row_buckets.h"
#include "kernels/norm/add_norm_kernel.h"
#include "kernels/rope/rope_append_kv_kernel.h"
#include "kernels/rope/rope_table_kernel.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DeviceStream;
using kernels::DType;

// Attention fills its output up to a bucket that begins behind the decodes.
constexpr int64_t kPaddingRows = kernels::kCoarseBucketRows;

int32_t HeadsWidth(const ModelConfig& config) { return config.heads * config.head_dim; }

}  // namespace

DeviceDecoder::DeviceDecoder(const DeviceModel& model)
    : model_(model),
      config_(*model.config),
      weights_(*model.weights),
      kernels_(
          model.weights->dtype() == DType::kBf16
              ? Kernels{&kernels::kEmbeddingBf16,
                        {&kernels::kAddNormF32Bf16, &kernels::kAddNormF32Bf16Delta16},
                        {&kernels::kRopeAppendKvF32Bf16, &kernels::kRopeAppendKvF32Bf16Delta16},
                        {&kernels::kSiluMulF32Bf16, &kernels::kSiluMulF32Bf16Delta16}}
              : Kernels{&kernels::kEmbeddingF16,
                        {&kernels::kAddNormF32F16, &kernels::kAddNormF32F16Delta16},
                        {&kernels::kRopeAppendKvF32F16, &kernels::kRopeAppendKvF32F16Delta16},
                        {&kernels::kSiluMulF32F16, &kernels::kSiluMulF32F16Delta16}}) {}

absl::StatusOr<std::unique_ptr<DeviceDecoder>> DeviceDecoder::Create(const DeviceModel& model,
                                                                     DeviceStream* stream) {
  std::unique_ptr<DeviceDecoder> decoder(new DeviceDecoder(model));
  CHORUS_RETURN_IF_ERROR(decoder->Prepare());
  CHORUS_RETURN_IF_ERROR(decoder->Allocate());
  CHORUS_RETURN_IF_ERROR(decoder->UploadFrequencies(stream));
  CHORUS_ASSIGN_OR_RETURN(decoder->lora_,
                          DeviceLora::Create(model.device, *model.config, model.pool, model.slots,
                                             model.limits, model.lora));
  const int32_t max_rows = model.limits.max_rows;
  std::vector<int32_t> buckets = kernels::DecodeRowBuckets(max_rows);
  const std::vector<int32_t> prefill = kernels::PrefillRowBuckets(max_rows);
  buckets.insert(buckets.end(), prefill.begin(), prefill.end());
  std::sort(buckets.begin(), buckets.end());
  buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
  CHORUS_ASSIGN_OR_RETURN(
      decoder->linears_,
      DeviceLinears::Create(
          {.ops = model.ops,
           .config = model.config,
           .weights = model.weights,
           .row_buckets = std::move(buckets),
           .logit_buckets = kernels::DecodeRowBuckets(std::min(max_rows, kMaxLogitRows)),
           .multiprocessors_beside_lora = decoder->lora_.multiprocessors_left(),
           .x = decoder->narrow_,
           .y = decoder->wide_,
           .logits = decoder->logits_},
          stream));
  return decoder;
}

void DeviceDecoder::SetPool(const kernels::PoolView& pool) {
  model_.pool = pool;
  lora_.SetPool(pool);
}

absl::Status DeviceDecoder::Allocate() {
  const int64_t rows = model_.limits.max_rows;
  const int64_t padded_rows = rows + kPaddingRows;
  const int32_t heads = HeadsWidth(config_);
  const int32_t qkv = heads + 2 * config_.kv_heads * config_.head_dim;
  const int64_t narrow = std::max({config_.hidden, heads, config_.intermediate});
  const int64_t wide = std::max({config_.hidden, qkv, 2 * config_.intermediate});
  const int64_t size = kernels::ByteSize(weights_.dtype());
  logits_stride_ = static_cast<int32_t>(DeviceLinears::LogitsStride(config_));
  int64_t end = 0;
  const auto place = [&](int64_t bytes) {
    const int64_t at = end;
    end = kernels::RoundUp<int64_t>(end + bytes, 256);
    return at;
  };
  const int64_t residual = place(rows * config_.hidden * 4);
  const int64_t x = place(padded_rows * narrow * size);
  const int64_t q = place(padded_rows * heads * size);
  const int64_t y = place(rows * wide * 4);
  const int64_t cos_sin = place(rows * config_.head_dim * 4);
  const int64_t inv_freq = place(int64_t{config_.head_dim} * 2);
  const int64_t final_x = place(int64_t{kMaxLogitRows} * config_.hidden * size);
  const int64_t logits = place(int64_t{kMaxLogitRows} * logits_stride_ * 4);
  CHORUS_ASSIGN_OR_RETURN(memory_, model_.device->Allocate(end));
  std::byte* const base = memory_.data();
  residual_ = reinterpret_cast<float*>(base + residual);
  narrow_ = base + x;
  q_ = base + q;
  wide_ = reinterpret_cast<float*>(base + y);
  cos_sin_ = reinterpret_cast<float*>(base + cos_sin);
  inv_freq_ = reinterpret_cast<float*>(base + inv_freq);
  final_x_ = base + final_x;
  logits_ = reinterpret_cast<float*>(base + logits);
  return absl::OkStatus();
}

absl::Status DeviceDecoder::UploadFrequencies(DeviceStream* stream) {
  const RopeFrequencies rope = ComputeRope(config_.rope, config_.head_dim);
  rope_scaling_ = rope.attention_scaling;
  const auto bytes = static_cast<int64_t>(rope.inv_freq.size() * sizeof(float));
  CHORUS_ASSIGN_OR_RETURN(const kernels::DeviceBuffer pinned, model_.device->AllocatePinned(bytes));
  std::memcpy(pinned.data(), rope.inv_freq.data(), static_cast<size_t>(bytes));
  CHORUS_RETURN_IF_ERROR(stream->CopyToDevice(inv_freq_, pinned.data(), bytes));
  return stream->Synchronize();
}

absl::Status DeviceDecoder::Prepare() const {
  CHORUS_RETURN_IF_ERROR(model_.ops->CheckHeadDim(config_.head_dim));
  for (const kernels::Kernel* kernel :
       {kernels_.embedding, kernels_.rope_append_kv[0], kernels_.rope_append_kv[1],
        kernels_.silu_mul[0], kernels_.silu_mul[1], &kernels::kRopeTable}) {
    CHORUS_RETURN_IF_ERROR(model_.device->Prepare(*kernel, 0));
  }
  for (const kernels::Kernel* kernel : kernels_.add_norm) {
    CHORUS_RETURN_IF_ERROR(model_.device->Prepare(*kernel, kernels::kAddNormSharedBytes));
  }
  return absl::OkStatus();
}

absl::Status DeviceDecoder::Run(const DeviceStep& step, DeviceStream* stream) {
  if (step.shape.lora) {
    CHORUS_RETURN_IF_ERROR(lora_.Plan(Array<kernels::LoraSegment>(step, model_.block->segments),
                                      Array<int32_t>(step, model_.block->num_segments),
                                      step.shape.rows, stream));
  }
  CHORUS_RETURN_IF_ERROR(Embed(step, stream));
  for (int32_t layer = 0; layer < config_.layers; ++layer) {
    CHORUS_RETURN_IF_ERROR(AwaitLayer(step, layer, stream));
    CHORUS_RETURN_IF_ERROR(AppendKv(step, layer, stream));
    CHORUS_RETURN_IF_ERROR(Attend(step, layer, stream));
    CHORUS_RETURN_IF_ERROR(ProjectOut(step, layer, stream));
    CHORUS_RETURN_IF_ERROR(Mlp(step, layer, stream));
  }
  return absl::OkStatus();
}

absl::Status DeviceDecoder::AwaitLayer(const DeviceStep& step, int32_t layer,
                                       DeviceStream* stream) {
  if (step.arrivals == nullptr) return absl::OkStatus();
  for (const auto& adapter : *step.arrivals) {
    CHORUS_RETURN_IF_ERROR(stream->Wait(adapter->layers()[static_cast<size_t>(layer)].get()));
  }
  return absl::OkStatus();
}

absl::Status DeviceDecoder::Embed(const DeviceStep& step, DeviceStream* stream) {
  const int32_t rows = step.shape.rows;
  CHORUS_RETURN_IF_ERROR(
      stream->Launch(*kernels_.embedding, rows, 0,
                     kernels::EmbeddingParams{.tokens = Array<int32_t>(step, model_.block->tokens),
                                              .table = weights_.embedding(),
                                              .residual = residual_,
                                              .rows = rows,
                                              .vocabulary = config_.vocabulary,
                                              .hidden = config_.hidden}));
  const int32_t half = config_.head_dim / 2;
  return stream->Launch(
      kernels::kRopeTable, kernels::RopeTableBlocks(rows, half), 0,
      kernels::RopeTableParams{.positions = Array<int32_t>(step, model_.block->positions),
                               .inv_freq = inv_freq_,
                               .attention_scaling = rope_scaling_,
                               .cos_sin = cos_sin_,
                               .rows = rows,
                               .half = half});
}

absl::Status DeviceDecoder::AppendKv(const DeviceStep& step, int32_t layer, DeviceStream* stream) {
  const int32_t rows = step.shape.rows;
  kernels::AddNormParams norm{.residual = residual_,
                              .weight = weights_.Vector(WeightRole::kInputNorm, layer),
                              .eps = config_.rms_norm_eps,
                              .y = narrow_,
                              .rows = rows,
                              .num_outputs = rows,
                              .hidden = config_.hidden};
  if (layer > 0) {
    norm.linear = wide_;
    norm.bias = weights_.Vector(WeightRole::kDownBias, layer - 1);
    norm.delta = Delta(step, DeviceSite::kDown, layer - 1);
    norm.module = kernels::kDown;
  }
  CHORUS_RETURN_IF_ERROR(stream->Launch(*kernels_.add_norm[DeltaType(step)], rows,
                                        kernels::kAddNormSharedBytes, norm));
  CHORUS_RETURN_IF_ERROR(Linear(step, WeightRole::kQkv, DeviceSite::kQkv, layer, stream));
  return stream->Launch(
      *kernels_.rope_append_kv[DeltaType(step)],
      rows * kernels::RopeAppendKvRowBlocks(config_.heads, config_.kv_heads, config_.head_dim), 0,
      kernels::RopeAppendKvParams{.qkv = wide_,
                                  .bias = weights_.Vector(WeightRole::kQkvBias, layer),
                                  .delta = Delta(step, DeviceSite::kQkv, layer),
                                  .q_norm = weights_.Vector(WeightRole::kQNorm, layer),
                                  .k_norm = weights_.Vector(WeightRole::kKNorm, layer),
                                  .norm_eps = config_.rms_norm_eps,
                                  .cos_sin = cos_sin_,
                                  .positions = Array<int32_t>(step, model_.block->positions),
                                  .row_pages = Array<int32_t>(step, model_.block->row_pages),
                                  .q = q_,
                                  .pool = model_.pool.base,
                                  .num_ids = model_.pool.num_ids,
                                  .num_slabs = model_.pool.num_slabs,
                                  .slab = layer,
                                  .rows = rows,
                                  .heads = config_.heads,
                                  .kv_heads = config_.kv_heads,
                                  .head_dim = config_.head_dim});
}

absl::Status DeviceDecoder::Attend(const DeviceStep& step, int32_t layer, DeviceStream* stream) {
  const int32_t width = HeadsWidth(config_);
  kernels::DeviceAttentionArgs args{.page_ids = Array<int32_t>(step, model_.block->page_ids),
                                    .q = q_,
                                    .q_stride = width,
                                    .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                                    .pool = model_.pool,
                                    .slab = layer,
                                    .workspace = model_.attention->workspace(),
                                    .begin_early = model_.attention_early,
                                    .y = narrow_};
  if (step.shape.decode_rows > 0) {
    args.layout = &model_.attention->DecodeLayout(step.shape.decode_rows);
    args.plan = step.block + model_.block->decode_plan;
    CHORUS_RETURN_IF_ERROR(model_.ops->PagedAttention(args, stream));
  }
  if (step.shape.chunk_rows == 0) return absl::OkStatus();
  // After the decodes, whose padding lies where these rows begin.
  const int64_t begin = int64_t{step.num_decodes} * width * kernels::ByteSize(weights_.dtype());
  args.layout = &model_.attention->ChunkLayout(step.shape.chunk_rows);
  args.plan = step.block + model_.block->chunk_plan;
  args.split = step.shape.prompt_split;
  args.q = q_ + begin;
  args.y = narrow_ + begin;
  return model_.ops->PagedAttention(args, stream);
}

absl::Status DeviceDecoder::ProjectOut(const DeviceStep& step, int32_t layer,
                                       DeviceStream* stream) {
  const int32_t rows = step.shape.rows;
  CHORUS_RETURN_IF_ERROR(Linear(step, WeightRole::kO, DeviceSite::kO, layer, stream));
  return stream->Launch(
      *kernels_.add_norm[DeltaType(step)], rows, kernels::kAddNormSharedBytes,
      kernels::AddNormParams{.linear = wide_,
                             .bias = weights_.Vector(WeightRole::kOBias, layer),
                             .delta = Delta(step, DeviceSite::kO, layer),
                             .module = kernels::kO,
                             .residual = residual_,
                             .weight = weights_.Vector(WeightRole::kPostAttentionNorm, layer),
                             .eps = config_.rms_norm_eps,
                             .y = narrow_,
                             .rows = rows,
                             .num_outputs = rows,
                             .hidden = config_.hidden});
}

absl::Status DeviceDecoder::Mlp(const DeviceStep& step, int32_t layer, DeviceStream* stream) {
  const int32_t rows = step.shape.rows;
  CHORUS_RETURN_IF_ERROR(Linear(step, WeightRole::kGateUp, DeviceSite::kGateUp, layer, stream));
  CHORUS_RETURN_IF_ERROR(
      stream->Launch(*kernels_.silu_mul[DeltaType(step)],
                     rows * kernels::SiluMulRowBlocks(config_.intermediate), 0,
                     kernels::SiluMulParams{.gate_up = wide_,
                                            .bias = weights_.Vector(WeightRole::kGateUpBias, layer),
                                            .delta = Delta(step, DeviceSite::kGateUp, layer),
                                            .y = narrow_,
                                            .rows = rows,
                                            .width = config_.intermediate}));
  return Linear(step, WeightRole::kDown, DeviceSite::kDown, layer, stream);
}

absl::Status DeviceDecoder::Linear(const DeviceStep& step, WeightRole role, DeviceSite site,
                                   int32_t layer, DeviceStream* stream) {
  const int32_t rows = step.shape.rows;
  const bool lora = step.shape.lora;
  if (lora) CHORUS_RETURN_IF_ERROR(lora_.Run(site, layer, narrow_, rows, stream));
  CHORUS_RETURN_IF_ERROR(
      linears_.Run(role, layer, rows, /*beside_lora=*/lora, narrow_, wide_, stream));
  return lora ? lora_.Join(stream) : absl::OkStatus();
}

kernels::LoraDelta DeviceDecoder::Delta(const DeviceStep& step, DeviceSite site,
                                        int32_t layer) const {
  if (!step.shape.lora) return {};
  return lora_.Delta(site, layer, step.shape.rows);
}

absl::Status DeviceDecoder::Logits(const DeviceStep& step, int32_t first, int32_t count,
                                   DeviceStream* stream) {
  CHORUS_CHECK(count >= 1 && count <= kMaxLogitRows);
  const int32_t outputs = kernels::DecodeRowBucket(count);
  const int32_t last = config_.layers - 1;
  CHORUS_RETURN_IF_ERROR(stream->Launch(
      *kernels_.add_norm[DeltaType(step)], outputs, kernels::kAddNormSharedBytes,
      kernels::AddNormParams{.linear = wide_,
                             .bias = weights_.Vector(WeightRole::kDownBias, last),
                             .delta = Delta(step, DeviceSite::kDown, last),
                             .module = kernels::kDown,
                             .residual = residual_,
                             .weight = weights_.Vector(WeightRole::kFinalNorm),
                             .eps = config_.rms_norm_eps,
                             .row_list = Array<int32_t>(step, model_.block->kept_rows) + first,
                             .y = final_x_,
                             .rows = step.shape.rows,
                             .num_outputs = outputs,
                             .hidden = config_.hidden}));
  return linears_.Run(WeightRole::kLmHead, 0, outputs, /*beside_lora=*/false, final_x_, logits_,
                      stream);
}

}  // namespace chorus::engine
