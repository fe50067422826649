#include "tests/support/model_host.h"

#include <algorithm>
#include <future>
#include <numeric>
#include <utility>

#include "engine/adapters/adapter_loader.h"
#include "engine/model/cpu_runner.h"
#include "kernels/status_macros.h"

namespace chorus::test {

using engine::PageLease;
using engine::StepPlan;
using kernels::kPageTokens;

namespace {

class CpuBackend : public HostBackend {
 public:
  CpuBackend(std::vector<std::byte> host_pages, std::unique_ptr<engine::CpuRunner> runner)
      : host_pages_(std::move(host_pages)), runner_(std::move(runner)) {}

  engine::Runner& runner() override { return *runner_; }
  absl::StatusOr<std::vector<float>> RunForLogits(const StepPlan& plan,
                                                  std::span<const int32_t> rows) override {
    return runner_->RunForLogits(plan, rows);
  }
  absl::Status TakeCells(std::span<const int32_t>) override { return absl::OkStatus(); }

 private:
  std::vector<std::byte> host_pages_;
  const std::unique_ptr<engine::CpuRunner> runner_;
};

// Adds those rows of the part that the base computes, or those of its adapter.
void AddRows(const StepPart& part, bool of_base, std::vector<int32_t>* rows, StepPlan* plan) {
  const HostSequence& sequence = *part.sequence;
  for (size_t i = 0; i < part.tokens.size(); ++i) {
    const auto position = static_cast<int64_t>(sequence.tokens.size() + i);
    if ((sequence.slot < 0 || position < sequence.active_from) != of_base) continue;
    const auto row = static_cast<int32_t>(plan->num_rows());
    rows->push_back(row);
    plan->tokens.push_back(part.tokens[i]);
    plan->positions.push_back(static_cast<int32_t>(position));
    plan->row_pages.push_back(sequence.pages[position / kPageTokens]);
    if (of_base) continue;
    if (plan->segments.empty() || plan->segments.back().slot != sequence.slot) {
      plan->segments.push_back({sequence.slot, row, 0});
    }
    ++plan->segments.back().num_rows;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelHost>> ModelHost::Open(const std::string& model_dir,
                                                           const HostOptions& options) {
  return Open(
      model_dir, options,
      [&](const engine::ModelConfig& config,
          const kernels::PoolView& pool) -> absl::StatusOr<std::unique_ptr<HostBackend>> {
        CHORUS_ASSIGN_OR_RETURN(
            engine::Weights weights,
            engine::Weights::Load(model_dir, config, options.dtype, engine::Shard{}));
        std::vector<std::byte> host_pages(
            static_cast<size_t>(options.host_pages * pool.num_slabs * pool.cell_bytes()));
        CHORUS_ASSIGN_OR_RETURN(
            std::unique_ptr<engine::CpuRunner> runner,
            engine::CpuRunner::Create(config, std::move(weights), pool,
                                      {.num_workers = options.num_workers,
                                       .host_pages = {host_pages.data(), options.host_pages}}));
        return std::make_unique<CpuBackend>(std::move(host_pages), std::move(runner));
      });
}

absl::StatusOr<std::unique_ptr<ModelHost>> ModelHost::Open(const std::string& model_dir,
                                                           const HostOptions& options,
                                                           const MakeBackend& make) {
  CHORUS_ASSIGN_OR_RETURN(engine::ModelConfig config, engine::ModelConfig::Load(model_dir));
  std::unique_ptr<ModelHost> host(new ModelHost(std::move(config), options));
  CHORUS_ASSIGN_OR_RETURN(host->backend_, make(host->config_, host->memory_.view()));
  return host;
}

ModelHost::ModelHost(engine::ModelConfig config, const HostOptions& options)
    : config_(std::move(config)),
      memory_(options.dtype, config_.kv_heads, config_.head_dim, options.num_pages, config_.layers,
              options.b_tiles),
      pages_(memory_.view()) {}

absl::StatusOr<int32_t> ModelHost::Load(const engine::AdapterRef& adapter) {
  const engine::ImageLayout& layout = adapter->layout();
  CHORUS_ASSIGN_OR_RETURN(PageLease lease, pages_.Acquire(layout.num_ids));
  const int64_t cells = kernels::CeilDiv(layout.num_tiles, kernels::TilesPerCell(pool_view()));
  auto slot = std::make_shared<kernels::LoraSlot>();
  slot->cells = engine::CellsInFillOrder(lease.ids(), cells, pool_view());
  slot->modules = layout.modules;

  std::promise<absl::Status> answer;
  {
    engine::HostAdapterPages target(pool_view());
    engine::AdapterLoader loader(
        &target, 1, engine::Clock::Real(),
        {.done = [&](const engine::LoadDone& done) { answer.set_value(done.status); }});
    loader.Start({.ticket = 1, .adapter = adapter, .cells = slot->cells});
    CHORUS_RETURN_IF_ERROR(answer.get_future().get());
  }
  CHORUS_RETURN_IF_ERROR(backend_->TakeCells(slot->cells));
  adapter_pages_.push_back(std::move(lease));
  slot_changes_.push_back({num_slots_, std::move(slot)});
  return num_slots_++;
}

absl::StatusOr<ModelHost::Planned> ModelHost::Plan(std::span<const StepPart> parts) {
  std::vector<size_t> order(parts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return parts[a].sequence->slot < parts[b].sequence->slot;
  });
  Planned planned;
  StepPlan& plan = planned.plan;
  plan.epoch = ++epoch_;
  plan.slot_changes = std::exchange(slot_changes_, {});
  planned.rows.resize(parts.size());
  for (const size_t i : order) CHORUS_RETURN_IF_ERROR(AddPages(parts[i]));
  // Rows of the base first, whoever's, then those of each adapter.
  for (const bool of_base : {true, false}) {
    for (const size_t i : order) AddRows(parts[i], of_base, &planned.rows[i], &plan);
  }
  plan.sequence_rows_begin.push_back(0);
  plan.page_begin.push_back(0);
  for (const size_t i : order) {
    HostSequence& sequence = *parts[i].sequence;
    sequence.tokens.insert(sequence.tokens.end(), parts[i].tokens.begin(), parts[i].tokens.end());
    const std::vector<int32_t>& rows = planned.rows[i];
    plan.sequence_rows.insert(plan.sequence_rows.end(), rows.begin(), rows.end());
    plan.sequence_rows_begin.push_back(static_cast<int32_t>(plan.sequence_rows.size()));
    const std::span<const engine::PageId> ids = sequence.pages.ids();
    plan.page_ids.insert(plan.page_ids.end(), ids.begin(), ids.end());
    plan.page_begin.push_back(static_cast<int32_t>(plan.page_ids.size()));
  }
  return planned;
}

absl::StatusOr<std::vector<ModelHost::Logits>> ModelHost::Step(std::span<const StepPart> parts) {
  CHORUS_ASSIGN_OR_RETURN(const Planned planned, Plan(parts));
  std::vector<int32_t> rows(static_cast<size_t>(planned.plan.num_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  CHORUS_ASSIGN_OR_RETURN(const std::vector<float> logits,
                          backend_->RunForLogits(planned.plan, rows));
  std::vector<Logits> result(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    for (size_t r = 0; r < parts[i].tokens.size(); ++r) {
      const auto begin = logits.begin() + std::ptrdiff_t{planned.rows[i][r]} * config_.vocabulary;
      result[i].emplace_back(begin, begin + config_.vocabulary);
    }
  }
  return result;
}

absl::Status ModelHost::AddPages(const StepPart& part) {
  HostSequence& sequence = *part.sequence;
  const size_t total = sequence.tokens.size() + part.tokens.size();
  const int64_t pages = kernels::CeilDiv<int64_t>(static_cast<int64_t>(total), kPageTokens);
  CHORUS_ASSIGN_OR_RETURN(PageLease more, pages_.Acquire(pages - sequence.pages.size()));
  if (sequence.pages.empty()) {
    sequence.pages = std::move(more);
  } else {
    sequence.pages.Append(std::move(more));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelHost::Logits> ModelHost::RunAlone(std::span<const int32_t> tokens, int32_t slot,
                                                      size_t chunk) {
  HostSequence sequence;
  sequence.slot = slot;
  Logits all;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const std::span<const int32_t> part =
        tokens.subspan(begin, std::min(chunk, tokens.size() - begin));
    const StepPart parts[] = {{&sequence, {part.begin(), part.end()}}};
    CHORUS_ASSIGN_OR_RETURN(std::vector<Logits> logits, Step(parts));
    std::move(logits[0].begin(), logits[0].end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace chorus::test
