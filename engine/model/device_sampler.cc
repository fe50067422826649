#include "engine/model/device_sampler.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DeviceTokenLogprob;

absl::Status CheckRoom(absl::string_view what, size_t got, int32_t most) {
  if (got <= static_cast<size_t>(most)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("step plan: ", what, ": expected at most ", most, ", got ", got));
}

}  // namespace

int32_t DeviceSampler::MaxLaunches(int32_t max_samples, int32_t max_rows) {
  return kernels::CeilDiv(max_samples, kLaunchSamples) + kernels::CeilDiv(max_rows, kLaunchSamples);
}

DeviceSampler::Results DeviceSampler::Results::At(std::byte* base, int32_t max_samples) {
  Results results;
  results.tokens = reinterpret_cast<int32_t*>(base);
  results.logprobs = reinterpret_cast<float*>(results.tokens + max_samples);
  results.top = reinterpret_cast<DeviceTokenLogprob*>(results.logprobs + max_samples);
  return results;
}

absl::StatusOr<DeviceSampler> DeviceSampler::Create(kernels::Device* device, const float* logits,
                                                    int32_t logit_rows, int32_t stride,
                                                    int32_t valid_vocabulary,
                                                    const StepLimits& limits) {
  CHORUS_RETURN_IF_ERROR(
      device->Prepare(kernels::kSample, kernels::SampleSharedBytes(valid_vocabulary)));
  DeviceSampler sampler;
  sampler.limits_ = limits;
  sampler.logits_ = logits;
  sampler.logit_rows_ = logit_rows;
  sampler.stride_ = stride;
  sampler.valid_vocabulary_ = valid_vocabulary;
  const int64_t result_bytes =
      int64_t{limits.max_samples} *
      (8 + kernels::kMaxTopLogprobs * static_cast<int64_t>(sizeof(DeviceTokenLogprob)));
  const int64_t scores_bytes =
      kernels::RoundUp<int64_t>(int64_t{kLaunchSamples} * valid_vocabulary * 4, 256);
  CHORUS_ASSIGN_OR_RETURN(sampler.memory_, device->Allocate(scores_bytes + result_bytes));
  CHORUS_ASSIGN_OR_RETURN(sampler.pinned_, device->AllocatePinned(result_bytes));
  sampler.scores_ = sampler.memory_.As<float>();
  sampler.results_ = Results::At(sampler.memory_.data() + scores_bytes, limits.max_samples);
  sampler.fetched_ = Results::At(sampler.pinned_.data(), limits.max_samples);
  return sampler;
}

absl::Status DeviceSampler::Plan(const StepPlan& plan, std::span<const int32_t> kept,
                                 int32_t num_kept, const StepBlock& block, std::byte* pinned) {
  CHORUS_RETURN_IF_ERROR(CheckRoom("samples", plan.samples.size(), limits_.max_samples));
  order_.resize(plan.samples.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::stable_sort(order_.begin(), order_.end(),
                   [&](size_t a, size_t b) { return kept[a] < kept[b]; });
  rows_.clear();
  wants_top_ = false;
  for (const size_t i : order_) {
    const PlannedSample& sample = plan.samples[i];
    rows_.push_back({.logits_row = kept[i],
                     .params = sample.params,
                     .prompt = sample.prompt,
                     .output = sample.output,
                     .choice = sample.choice,
                     .position = sample.position});
    wants_top_ = wants_top_ || (sample.params != nullptr && sample.params->num_logprobs > 0);
  }
  CHORUS_RETURN_IF_ERROR(kernels::PlanSample(rows_, num_kept, valid_vocabulary_, plan_));
  CHORUS_RETURN_IF_ERROR(CheckRoom("penalties", plan_.penalties.size(), limits_.max_penalties));
  CHORUS_RETURN_IF_ERROR(CheckRoom("biases", plan_.biases.size(), limits_.max_biases));
  CutTurns(num_kept);
  auto* const rows = StepBlock::Array<kernels::DeviceSampleRow>(pinned, block.sample_rows);
  for (const SampleTurn& turn : turns_) {
    for (int32_t l = turn.first_launch; l < turn.first_launch + turn.num_launches; ++l) {
      const LaunchSamples& launch = launches_[static_cast<size_t>(l)];
      StepBlock::Array<int32_t>(pinned, block.sample_counts)[l] = launch.count;
      for (int32_t i = launch.first; i < launch.first + launch.count; ++i) {
        rows[i] = plan_.rows[static_cast<size_t>(i)];
        rows[i].logits_row -= turn.first_row;
      }
    }
  }
  std::copy(plan_.penalties.begin(), plan_.penalties.end(),
            StepBlock::Array<kernels::SamplePenalty>(pinned, block.penalties));
  std::copy(plan_.biases.begin(), plan_.biases.end(),
            StepBlock::Array<kernels::SampleBias>(pinned, block.biases));
  return absl::OkStatus();
}

void DeviceSampler::CutTurns(int32_t num_kept) {
  turns_.clear();
  launches_.clear();
  const auto samples = static_cast<int32_t>(rows_.size());
  int32_t next = 0;
  for (int32_t row = 0; row < num_kept; row += logit_rows_) {
    SampleTurn turn{.first_row = row,
                    .num_rows = std::min(logit_rows_, num_kept - row),
                    .first_launch = static_cast<int32_t>(launches_.size())};
    const int32_t end_row = row + turn.num_rows;
    while (next < samples && rows_[static_cast<size_t>(next)].logits_row < end_row) {
      LaunchSamples launch{.first = next};
      while (next < samples && launch.count < kLaunchSamples &&
             rows_[static_cast<size_t>(next)].logits_row < end_row) {
        ++launch.count;
        ++next;
      }
      launches_.push_back(launch);
    }
    turn.num_launches = static_cast<int32_t>(launches_.size()) - turn.first_launch;
    turns_.push_back(turn);
  }
}

absl::Status DeviceSampler::Launch(const SampleTurn& turn, const StepBlock& block,
                                   const std::byte* base, kernels::DeviceStream* stream) const {
  for (int32_t l = turn.first_launch; l < turn.first_launch + turn.num_launches; ++l) {
    const LaunchSamples& launch = launches_[static_cast<size_t>(l)];
    const kernels::SampleParams params{
        .logits = logits_,
        .rows = StepBlock::Array<kernels::DeviceSampleRow>(base, block.sample_rows) + launch.first,
        .num_rows = StepBlock::Array<int32_t>(base, block.sample_counts) + l,
        .penalties = StepBlock::Array<kernels::SamplePenalty>(base, block.penalties),
        .biases = StepBlock::Array<kernels::SampleBias>(base, block.biases),
        .scores = scores_,
        .tokens = results_.tokens + launch.first,
        .logprobs = results_.logprobs + launch.first,
        .top = results_.top + int64_t{launch.first} * kernels::kMaxTopLogprobs,
        .logit_rows = logit_rows_,
        .stride = stride_,
        .valid_vocabulary = valid_vocabulary_,
        .capacity = launch.count,
        .penalty_capacity = limits_.max_penalties,
        .bias_capacity = limits_.max_biases};
    CHORUS_RETURN_IF_ERROR(stream->Launch(kernels::kSample, launch.count,
                                          kernels::SampleSharedBytes(valid_vocabulary_), params));
  }
  return absl::OkStatus();
}

absl::Status DeviceSampler::Fetch(kernels::DeviceStream* stream) const {
  const auto count = static_cast<int64_t>(rows_.size());
  if (count == 0) return absl::OkStatus();
  CHORUS_RETURN_IF_ERROR(stream->CopyToHost(fetched_.tokens, results_.tokens, count * 4));
  CHORUS_RETURN_IF_ERROR(stream->CopyToHost(fetched_.logprobs, results_.logprobs, count * 4));
  if (!wants_top_) return absl::OkStatus();
  return stream->CopyToHost(
      fetched_.top, results_.top,
      count * kernels::kMaxTopLogprobs * static_cast<int64_t>(sizeof(DeviceTokenLogprob)));
}

StepResult DeviceSampler::Read() const {
  StepResult result;
  result.tokens.resize(rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) {
    kernels::SampledToken& token = result.tokens[order_[i]];
    token.token = fetched_.tokens[i];
    const int32_t num_logprobs = rows_[i].params->num_logprobs;
    if (token.token < 0 || num_logprobs < 0) continue;
    token.logprob = fetched_.logprobs[i];
    const DeviceTokenLogprob* const top = fetched_.top + i * kernels::kMaxTopLogprobs;
    // A vocabulary may have fewer.
    for (int32_t n = 0; n < std::min(num_logprobs, valid_vocabulary_); ++n) {
      token.top.push_back({top[n].token, top[n].logprob});
    }
  }
  return result;
}

}  // namespace chorus::engine
