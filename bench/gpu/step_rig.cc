#include "bench/gpu/step_rig.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_image.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

using engine::StepPlan;
using engine::WeightRole;
using engine::WeightShape;
using kernels::DType;
using kernels::kPageTokens;

constexpr float kAdapterScale = 0.5f;

bool IsNorm(WeightRole role) {
  return role == WeightRole::kInputNorm || role == WeightRole::kPostAttentionNorm ||
         role == WeightRole::kQNorm || role == WeightRole::kKNorm || role == WeightRole::kFinalNorm;
}

engine::ImageLayout LayoutOf(const StepModel& model, const kernels::PoolView& geometry,
                             int32_t rank, bool attention_only) {
  engine::AdapterSpec spec;
  const int modules = attention_only ? kernels::kO + 1 : kernels::kNumLoraModules;
  for (int32_t layer = 0; layer < model.config.layers; ++layer) {
    for (int m = 0; m < modules; ++m) {
      spec.modules.push_back({.layer = layer,
                              .module = static_cast<kernels::LoraModule>(m),
                              .rank = rank,
                              .scale = kAdapterScale});
    }
  }
  return engine::ImageLayout::Make(spec, {model.config, {}, geometry});
}

// An adapter on `ids`, whose contents are whatever lies there.
std::shared_ptr<const kernels::LoraSlot> SlotOf(const engine::ImageLayout& layout,
                                                std::vector<int32_t> ids,
                                                const kernels::PoolView& pool) {
  std::sort(ids.begin(), ids.end());
  auto slot = std::make_shared<kernels::LoraSlot>();
  const int64_t cells = kernels::CeilDiv(layout.num_tiles, kernels::TilesPerCell(pool));
  slot->cells = engine::CellsInFillOrder(ids, cells, pool);
  slot->modules = layout.modules;
  return slot;
}

double SteadyUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(now).count();
}

}  // namespace

absl::StatusOr<std::unique_ptr<StepRig>> StepRig::Create(kernels::Device* device,
                                                         kernels::LibraryOps* ops,
                                                         const StepModel& model,
                                                         const StepRigOptions& options) {
  std::unique_ptr<StepRig> rig(new StepRig(device, ops, model, options));
  CHORUS_RETURN_IF_ERROR(rig->Start());
  return rig;
}

StepRig::StepRig(kernels::Device* device, kernels::LibraryOps* ops, const StepModel& model,
                 const StepRigOptions& options)
    : device_(*device), ops_(*ops), model_(model), options_(options) {
  if (options_.now_us == nullptr) options_.now_us = SteadyUs;
  greedy_.temperature = 0.0f;
}

absl::Status StepRig::Start() {
  const engine::ModelConfig& config = model_.config;
  const int64_t widest =
      std::max<int64_t>({config.hidden, int64_t{2} * config.intermediate,
                         int64_t{config.heads + 2 * config.kv_heads} * config.head_dim});
  CHORUS_ASSIGN_OR_RETURN(RandomFill fill,
                          RandomFill::Create(&device_, options_.pattern_bytes, widest));
  CHORUS_ASSIGN_OR_RETURN(engine::DeviceWeights weights, MakeWeights(&fill));
  CHORUS_ASSIGN_OR_RETURN(
      runner_,
      engine::DeviceRunner::Create(&device_, &ops_, config, std::move(weights), RunnerOptions()));
  CHORUS_RETURN_IF_ERROR(fill.Bf16(pool().base, pool().total_bytes(), /*salt=*/0));
  CHORUS_RETURN_IF_ERROR(fill.Finish());
  shuffled_.resize(static_cast<size_t>(pool().num_ids));
  std::iota(shuffled_.begin(), shuffled_.end(), 0);
  std::shuffle(shuffled_.begin(), shuffled_.end(), std::mt19937(options_.seed));
  return absl::OkStatus();
}

absl::StatusOr<engine::DeviceWeights> StepRig::MakeWeights(RandomFill* fill) const {
  uint64_t salt = 0;
  CHORUS_ASSIGN_OR_RETURN(engine::DeviceWeights weights,
                          engine::DeviceWeights::Make(
                              WeightShapesOf(model_.config), DType::kBf16, &device_,
                              [&](const WeightShape& shape, DType dtype, std::byte* to) {
                                const int64_t elements = shape.rows * shape.cols;
                                if (dtype == DType::kBf16)
                                  return fill->Bf16(to, elements * 2, ++salt);
                                return fill->Floats(to, elements, IsNorm(shape.place.role) ? 1 : 0);
                              }));
  CHORUS_RETURN_IF_ERROR(fill->Finish());
  return weights;
}

kernels::PoolView StepRig::Geometry() const {
  return {.num_slabs = model_.config.layers,
          .kv_heads = model_.config.kv_heads,
          .head_dim = model_.config.head_dim,
          .dtype = DType::kBf16,
          .b_tiles = kernels::BTileOrder::kFragments};
}

engine::DeviceRunnerOptions StepRig::RunnerOptions() const {
  const StepSizes& sizes = model_.sizes;
  const auto page_ids = [&](int64_t sequences, int64_t tokens) {
    return sequences * kernels::CeilDiv<int64_t>(tokens, kPageTokens);
  };
  engine::DeviceRunnerOptions options;
  options.max_rows = std::max(model_.max_batch(), sizes.prefill_tokens);
  options.max_graph_rows = options_.graphs ? model_.max_batch() : 0;
  options.max_page_ids = static_cast<int32_t>(
      page_ids(model_.max_batch(), sizes.context) + page_ids(1, sizes.long_context) +
      page_ids(sizes.prefill_adapters, sizes.prefill_tokens));
  options.max_slots = std::max({1, sizes.main_batch, sizes.prefill_adapters,
                                *std::max_element(sizes.adapters.begin(), sizes.adapters.end())});
  options.max_adapter_pages =
      static_cast<int32_t>(LayoutOf(model_, Geometry(), model_.max_rank(), false).num_ids);
  options.max_lora_rank = model_.max_rank();
  options.lora = options_.lora;
  options.decode_chunk_tokens = options_.decode_chunk_tokens;
  options.attention_early = options_.attention_early;
  options.time_steps = true;
  options.pool = {.bytes = options_.pool_bytes, .reserve_bytes = options_.reserve_bytes};
  return options;
}

void StepRig::AddSequence(const StepSequence& sequence, const std::vector<int32_t>& pages,
                          StepPlan* plan) {
  const auto first_row = static_cast<int32_t>(plan->num_rows());
  std::mt19937 random(options_.seed + static_cast<uint32_t>(first_row));
  std::uniform_int_distribution<int32_t> token(0, model_.config.vocabulary - 1);
  for (int32_t row = 0; row < sequence.rows; ++row) {
    const int32_t position = sequence.context - sequence.rows + row;
    plan->sequence_rows.push_back(static_cast<int32_t>(plan->num_rows()));
    plan->tokens.push_back(token(random));
    plan->positions.push_back(position);
    plan->row_pages.push_back(pages[static_cast<size_t>(position / kPageTokens)]);
  }
  plan->sequence_rows_begin.push_back(static_cast<int32_t>(plan->sequence_rows.size()));
  plan->page_ids.insert(plan->page_ids.end(), pages.begin(), pages.end());
  plan->page_begin.push_back(static_cast<int32_t>(plan->page_ids.size()));
  engine::PlannedSample sample;
  sample.row = static_cast<int32_t>(plan->num_rows()) - 1;
  sample.params = &greedy_;
  sample.position = sequence.context;
  plan->samples.push_back(std::move(sample));
  if (sequence.adapter < 0) return;
  if (plan->segments.empty() || plan->segments.back().slot != sequence.adapter) {
    plan->segments.push_back({sequence.adapter, first_row, 0});
  }
  plan->segments.back().num_rows += sequence.rows;
}

absl::StatusOr<PreparedStep> StepRig::Prepare(const StepCase& c) {
  size_t next = 0;
  const auto take = [&](int64_t count) {
    std::vector<int32_t> pages;
    for (; count > 0 && next < shuffled_.size(); --count) pages.push_back(shuffled_[next++]);
    next += static_cast<size_t>(count);  // of which there are not
    return pages;
  };
  std::vector<StepSequence> sequences = c.sequences;
  std::stable_sort(
      sequences.begin(), sequences.end(),
      [](const StepSequence& a, const StepSequence& b) { return a.adapter < b.adapter; });
  std::vector<std::vector<int32_t>> pages;
  for (const StepSequence& sequence : sequences) {
    pages.push_back(take(kernels::CeilDiv(sequence.context, kPageTokens)));
  }
  PreparedStep step;
  for (const int32_t rank : c.ranks) {
    const engine::ImageLayout layout = LayoutOf(model_, pool(), rank, c.attention_only);
    std::vector<int32_t> ids = take(layout.num_ids);
    if (next > shuffled_.size()) continue;
    step.slots.push_back(SlotOf(layout, std::move(ids), pool()));
  }
  if (next > shuffled_.size()) {
    return absl::ResourceExhaustedError(
        absl::StrCat(c.name, ": needs ", next, " pages, the pool has ", shuffled_.size()));
  }
  step.plan.sequence_rows_begin.push_back(0);
  step.plan.page_begin.push_back(0);
  for (size_t i = 0; i < sequences.size(); ++i) AddSequence(sequences[i], pages[i], &step.plan);
  return step;
}

absl::Status StepRig::Enter(PreparedStep* step) {
  const size_t slots = std::max(slots_in_use_, step->slots.size());
  for (size_t slot = 0; slot < slots; ++slot) {
    step->plan.slot_changes.push_back(
        {static_cast<int32_t>(slot), slot < step->slots.size() ? step->slots[slot] : nullptr});
  }
  slots_in_use_ = step->slots.size();
  const absl::Status status = Run(step).status();
  step->plan.slot_changes.clear();
  return status;
}

absl::StatusOr<StepTime> StepRig::Run(PreparedStep* step) {
  step->plan.epoch = ++epoch_;
  const double begin = NowUs();
  CHORUS_ASSIGN_OR_RETURN(const engine::StepResult result, runner_->Run(step->plan));
  StepTime time;
  time.wall_us = NowUs() - begin;
  CHORUS_ASSIGN_OR_RETURN(time.device_us, runner_->last_step_us());
  for (const kernels::SampledToken& token : result.tokens) {
    if (token.token < 0) return absl::InternalError("a row's logits are not finite");
  }
  return time;
}

}  // namespace chorus::bench
