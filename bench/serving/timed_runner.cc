#include "bench/serving/timed_runner.h"

#include <algorithm>
#include <utility>

#include "bench/ceilings.h"

namespace chorus::bench {
namespace {

using engine::ModelConfig;
using kernels::LoraModule;

int64_t HeadsWidth(const ModelConfig& config) { return int64_t{config.heads} * config.head_dim; }

// Weights of the linears that a row passes through up to the append of its K and V, and after it.
int64_t WeightsBeforeAttention(const ModelConfig& config) {
  return (HeadsWidth(config) + int64_t{2} * config.kv_heads * config.head_dim) * config.hidden;
}
int64_t WeightsAfterAttention(const ModelConfig& config) {
  return HeadsWidth(config) * config.hidden + int64_t{3} * config.intermediate * config.hidden;
}

int64_t SlotWeights(const ModelConfig& config, const kernels::LoraSlot& slot) {
  int64_t weights = 0;
  for (size_t i = 0; i < slot.modules.size(); ++i) {
    const auto module = static_cast<LoraModule>(i % kernels::kNumLoraModules);
    const auto shape = config.linear(module);
    weights += int64_t{slot.modules[i].rank} * (shape.inputs + shape.outputs);
  }
  return weights;
}

}  // namespace

absl::StatusOr<engine::StepResult> TimedRunner::Run(const engine::StepPlan& plan) {
  StepRecord step;
  CountWork(plan, &step);
  step.begin = Now();
  absl::StatusOr<engine::StepResult> result = runner_->Run(plan);
  step.end = Now();
  kernels::MutexLock lock(&mutex_);
  steps_.push_back(step);
  tokens_ += step.samples;
  if (awaited_ > 0 && tokens_ >= awaited_) reached_.NotifyAll();
  return result;
}

// The last layer computes what follows its attention only where a row is sampled, and so does the
// head.
void TimedRunner::CountWork(const engine::StepPlan& plan, StepRecord* step) {
  for (const engine::SlotChange& change : plan.slot_changes) {
    const auto slot = static_cast<size_t>(change.slot);
    if (slot >= slot_weights_.size()) slot_weights_.resize(slot + 1);
    slot_weights_[slot] = change.contents == nullptr ? 0 : SlotWeights(config_, *change.contents);
  }
  step->rows = plan.num_rows();
  step->samples = static_cast<int64_t>(plan.samples.size());
  step->adapters = static_cast<int64_t>(plan.segments.size());

  const int64_t before = WeightsBeforeAttention(config_);
  const int64_t after = WeightsAfterAttention(config_);
  const int64_t head = int64_t{config_.vocabulary} * config_.hidden;
  const int64_t layers = config_.layers;
  double weights = static_cast<double>(layers * before + (layers - 1) * after);
  double products = weights * static_cast<double>(step->rows);
  if (step->samples > 0) {
    weights += static_cast<double>(after + head);
    products += static_cast<double>((after + head) * step->samples);
  }
  for (const kernels::LoraSegment& segment : plan.segments) {
    const auto adapter = static_cast<double>(slot_weights_[static_cast<size_t>(segment.slot)]);
    weights += adapter;
    products += adapter * segment.num_rows;
  }
  // Every sequence's tokens are read once, every row multiplies with those up to its own.
  double read_tokens = 0.0;
  double seen_tokens = 0.0;
  for (size_t s = 0; s + 1 < plan.sequence_rows_begin.size(); ++s) {
    int32_t last = -1;
    for (int32_t r = plan.sequence_rows_begin[s]; r < plan.sequence_rows_begin[s + 1]; ++r) {
      const int32_t row = plan.sequence_rows[static_cast<size_t>(r)];
      const int32_t position = plan.positions[static_cast<size_t>(row)];
      seen_tokens += position + 1;
      last = std::max(last, position);
    }
    read_tokens += last + 1;
  }
  products += 2.0 * seen_tokens * static_cast<double>(HeadsWidth(config_) * layers);
  weights += read_tokens * 2.0 * static_cast<double>(config_.kv_heads * config_.head_dim) *
             static_cast<double>(layers);
  step->bytes = weights * static_cast<double>(kernels::ByteSize(dtype_));
  step->flops = 2.0 * products;
}

void TimedRunner::WaitForTokens(int64_t count) {
  kernels::MutexLock lock(&mutex_);
  awaited_ = count;
  while (tokens_ < count) reached_.Wait(&mutex_);
  awaited_ = 0;
}

std::vector<StepRecord> TimedRunner::TakeSteps() {
  kernels::MutexLock lock(&mutex_);
  tokens_ = 0;
  return std::exchange(steps_, {});
}

}  // namespace chorus::bench
