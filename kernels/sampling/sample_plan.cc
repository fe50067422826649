#include "kernels/sampling/sample_plan.h"

#include "kernels/device/arg_check.h"
#include "kernels/sampling/sample_row.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

class Planner {
 public:
  Planner(int32_t valid_vocabulary, SamplePlan& plan)
      : valid_vocabulary_(valid_vocabulary), plan_(plan) {
    plan_.places.resize(static_cast<size_t>(valid_vocabulary), -1);
  }

  void Add(const SampleRow& row) {
    const SamplingParams& params = *row.params;
    DeviceSampleRow out{.logits_row = row.logits_row,
                        .temperature = params.temperature,
                        .top_k = params.top_k,
                        .top_p = params.top_p,
                        .min_p = params.min_p,
                        .repetition_penalty = params.repetition_penalty,
                        .presence_penalty = params.presence_penalty,
                        .frequency_penalty = params.frequency_penalty,
                        .seed = params.seed,
                        .position = row.position,
                        .choice = row.choice,
                        .num_logprobs = params.num_logprobs,
                        .first_penalty = static_cast<int32_t>(plan_.penalties.size()),
                        .first_bias = static_cast<int32_t>(plan_.biases.size())};
    if (params.repetition_penalty != 1.0f) AddIds(row.prompt, 0);
    if (params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
        params.frequency_penalty != 0.0f) {
      AddIds(row.output, 1);
    }
    for (size_t i = static_cast<size_t>(out.first_penalty); i < plan_.penalties.size(); ++i) {
      plan_.places[static_cast<size_t>(plan_.penalties[i].id)] = -1;
    }
    for (const auto& [id, bias] : params.logit_bias) {
      if (IsValid(id)) plan_.biases.push_back({id, bias});
    }
    out.num_penalties = static_cast<int32_t>(plan_.penalties.size()) - out.first_penalty;
    out.num_biases = static_cast<int32_t>(plan_.biases.size()) - out.first_bias;
    plan_.rows.push_back(out);
  }

 private:
  bool IsValid(int32_t id) const { return id >= 0 && id < valid_vocabulary_; }

  void AddIds(std::span<const int32_t> ids, int32_t count) {
    for (const int32_t id : ids) {
      if (!IsValid(id)) continue;
      int32_t& place = plan_.places[static_cast<size_t>(id)];
      if (place < 0) {
        place = static_cast<int32_t>(plan_.penalties.size());
        plan_.penalties.push_back({id, 0});
      }
      plan_.penalties[static_cast<size_t>(place)].output_count += count;
    }
  }

  const int32_t valid_vocabulary_;
  SamplePlan& plan_;
};

}  // namespace

absl::Status PlanSample(std::span<const SampleRow> rows, int32_t logit_rows,
                        int32_t valid_vocabulary, SamplePlan& plan) {
  const ArgCheck check("Sample");
  plan.rows.clear();
  plan.penalties.clear();
  plan.biases.clear();
  for (const SampleRow& row : rows) {
    CHORUS_RETURN_IF_ERROR(check.InRange("logits_row", row.logits_row, 0, logit_rows));
    CHORUS_RETURN_IF_ERROR(CheckSampling(check, row.params));
    CHORUS_RETURN_IF_ERROR(
        check.InRange("num_logprobs", row.params->num_logprobs, -1, kMaxTopLogprobs + 1));
  }
  Planner planner(valid_vocabulary, plan);
  for (const SampleRow& row : rows) planner.Add(row);
  return absl::OkStatus();
}

}  // namespace chorus::kernels
