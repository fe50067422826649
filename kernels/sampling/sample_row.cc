#include "kernels/sampling/sample_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/checked.h"
#include "kernels/sampling/logit_scans.h"
#include "kernels/sampling/philox.h"

namespace chorus::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool HasPenalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
         params.frequency_penalty != 0.0f;
}

// Repetition first (Keskar et al., 2019: a seen id's positive score is divided, a negative one
// multiplied), then presence and frequency.
class Penalties {
 public:
  Penalties(const SampleRow& row, std::span<float> scores, std::vector<int32_t>& counts)
      : row_(row), params_(*row.params), scores_(scores), counts_(counts) {
    if (counts_.size() < scores.size()) counts_.resize(scores.size(), 0);
  }

  void Apply() {
    if (params_.repetition_penalty != 1.0f) {
      ApplyRepetition(row_.prompt);
      ApplyRepetition(row_.output);
      Clear(row_.prompt);
      Clear(row_.output);
    }
    if (params_.presence_penalty == 0.0f && params_.frequency_penalty == 0.0f) return;
    for (const int32_t id : row_.output) {
      if (IsValid(id)) ++counts_[static_cast<size_t>(id)];
    }
    for (const int32_t id : row_.output) {
      if (!IsValid(id) || counts_[static_cast<size_t>(id)] == 0) continue;
      const auto count = static_cast<float>(counts_[static_cast<size_t>(id)]);
      scores_[static_cast<size_t>(id)] -=
          params_.frequency_penalty * count + params_.presence_penalty;
      counts_[static_cast<size_t>(id)] = 0;
    }
  }

 private:
  bool IsValid(int32_t id) const { return id >= 0 && id < static_cast<int64_t>(scores_.size()); }

  void ApplyRepetition(std::span<const int32_t> ids) {
    for (const int32_t id : ids) {
      if (!IsValid(id) || counts_[static_cast<size_t>(id)] != 0) continue;
      counts_[static_cast<size_t>(id)] = 1;
      float& score = scores_[static_cast<size_t>(id)];
      score =
          score < 0.0f ? score * params_.repetition_penalty : score / params_.repetition_penalty;
    }
  }

  void Clear(std::span<const int32_t> ids) {
    for (const int32_t id : ids) {
      if (IsValid(id)) counts_[static_cast<size_t>(id)] = 0;
    }
  }

  const SampleRow& row_;
  const SamplingParams& params_;
  std::span<float> scores_;
  std::vector<int32_t>& counts_;
};

// The scores to draw from: the logits themselves when nothing changes them.
std::span<const float> Scores(const SampleRow& row, std::span<const float> logits,
                              SampleScratch& scratch) {
  const SamplingParams& params = *row.params;
  if (!HasPenalties(params) && params.logit_bias.empty()) return logits;
  scratch.scores.assign(logits.begin(), logits.end());
  Penalties(row, scratch.scores, scratch.counts).Apply();
  for (const auto& [id, bias] : params.logit_bias) {
    if (id >= 0 && id < static_cast<int64_t>(logits.size())) {
      scratch.scores[static_cast<size_t>(id)] += bias;
    }
  }
  return scratch.scores;
}

// Block maxima into scratch. The largest value, or NaN when one is NaN or +infinity or none finite.
float ScanMaxima(std::span<const float> values, SampleScratch& scratch) {
  scratch.maxima.resize(CeilDiv<size_t>(values.size(), kScanBlock));
  if (!BlockMaxima(values, scratch.maxima)) return std::numeric_limits<float>::quiet_NaN();
  const float max = *std::max_element(scratch.maxima.begin(), scratch.maxima.end());
  return max > -kInfinity ? max : std::numeric_limits<float>::quiet_NaN();
}

int32_t FirstWithValue(std::span<const float> values, float max, const SampleScratch& scratch) {
  const auto block = static_cast<size_t>(
      std::find(scratch.maxima.begin(), scratch.maxima.end(), max) - scratch.maxima.begin());
  size_t i = block * size_t{kScanBlock};
  while (values[i] != max) ++i;
  return static_cast<int32_t>(i);
}

void WeighInto(std::span<const float> values, float max, float temperature,
               SampleScratch& scratch) {
  scratch.weights.resize(values.size());
  scratch.sums.resize(CeilDiv<size_t>(values.size(), kScanBlock));
  BlockWeights(values, max, 1.0f / temperature, scratch.weights, scratch.sums);
}

double Total(const std::vector<double>& sums) {
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

// Sums up the weights again after some were cut.
void SumBlocks(SampleScratch& scratch) {
  for (size_t block = 0; block < scratch.sums.size(); ++block) {
    const size_t begin = block * size_t{kScanBlock};
    const size_t end = std::min(scratch.weights.size(), begin + size_t{kScanBlock});
    double sum = 0.0;
    for (size_t i = begin; i < end; ++i) sum += scratch.weights[i];
    scratch.sums[block] = sum;
  }
}

// The inverse of the cumulated weights at `uniform`: first the block, then the weight within it.
// Sums run in ascending order; an index of weight 0 is never drawn.
size_t Draw(double uniform, const SampleScratch& scratch) {
  const double target = uniform * Total(scratch.sums);
  double below = 0.0;
  size_t block = 0;
  size_t last_block = 0;
  for (; block < scratch.sums.size(); ++block) {
    if (scratch.sums[block] == 0.0) continue;
    last_block = block;
    if (below + scratch.sums[block] > target) break;
    below += scratch.sums[block];
  }
  const size_t begin = last_block * size_t{kScanBlock};
  const size_t end = std::min(scratch.weights.size(), begin + size_t{kScanBlock});
  size_t drawn = begin;
  for (size_t i = begin; i < end; ++i) {
    if (scratch.weights[i] == 0.0f) continue;
    drawn = i;
    below += scratch.weights[i];
    if (below > target) break;
  }
  return drawn;
}

// Temperature → top-k → top-p → min-p, then the draw. Weights are relative to the largest, so the
// temperature cannot overflow and min-p is a comparison with 1.
int32_t DrawToken(const SampleRow& row, std::span<const float> scores, float max,
                  SampleScratch& scratch) {
  const SamplingParams& params = *row.params;
  const bool top_k = params.top_k > 0 && params.top_k < static_cast<int64_t>(scores.size());
  if (top_k) {
    SelectLargest(scores, scratch.maxima, params.top_k, scratch.values, scratch.candidates);
    scratch.values.clear();
    for (const Candidate& candidate : scratch.candidates) {
      scratch.values.push_back(candidate.value);
    }
    scores = scratch.values;
  }
  WeighInto(scores, max, params.temperature, scratch);
  if (params.top_p < 1.0f) {
    CutNucleus(scratch.weights, Total(scratch.sums), params.top_p, scratch.nucleus);
  }
  if (params.min_p > 0.0f) {
    for (float& weight : scratch.weights) {
      if (weight < params.min_p && weight < 1.0f) weight = 0.0f;
    }
  }
  if (params.top_p < 1.0f || params.min_p > 0.0f) SumBlocks(scratch);
  const size_t drawn = Draw(UniformDraw(params.seed, row.choice, row.position), scratch);
  return top_k ? scratch.candidates[drawn].id : static_cast<int32_t>(drawn);
}

// Log-probabilities of the raw logits, whose maxima are in scratch.
void FillLogprobs(std::span<const float> logits, float max, int64_t wanted, SampleScratch& scratch,
                  SampledToken& token) {
  WeighInto(logits, max, 1.0f, scratch);
  const double log_sum = static_cast<double>(max) + std::log(Total(scratch.sums));
  const auto logprob = [log_sum](float logit) { return static_cast<float>(logit - log_sum); };
  token.logprob = logprob(logits[static_cast<size_t>(token.token)]);
  const auto count = std::min(wanted, static_cast<int64_t>(logits.size()));
  if (count < 1) return;
  SelectLargest(logits, scratch.maxima, count, scratch.values, scratch.candidates);
  const auto end = scratch.candidates.begin() + count;
  std::partial_sort(scratch.candidates.begin(), end, scratch.candidates.end(), RanksBefore);
  for (auto it = scratch.candidates.begin(); it != end; ++it) {
    token.top.push_back({it->id, logprob(it->value)});
  }
}

}  // namespace

void SampleOne(const SampleRow& row, std::span<const float> logits, SampleScratch& scratch,
               SampledToken& token) {
  token.token = -1;
  token.logprob = 0.0f;
  token.top.clear();
  const float raw_max = ScanMaxima(logits, scratch);
  if (std::isnan(raw_max)) return;
  const std::span<const float> scores = Scores(row, logits, scratch);
  const bool changed = scores.data() != logits.data();
  const float max = changed ? ScanMaxima(scores, scratch) : raw_max;
  if (std::isnan(max)) return;
  token.token = row.params->temperature == 0.0f ? FirstWithValue(scores, max, scratch)
                                                : DrawToken(row, scores, max, scratch);
  if (row.params->num_logprobs < 0) return;
  if (changed) ScanMaxima(logits, scratch);
  FillLogprobs(logits, raw_max, row.params->num_logprobs, scratch, token);
}

}  // namespace chorus::kernels
