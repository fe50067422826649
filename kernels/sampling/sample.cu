#include "kernels/device/arch.h"
#include "kernels/sampling/philox.h"
#include "kernels/sampling/row_nucleus.h"
#include "kernels/sampling/row_weights.h"
#include "kernels/sampling/sample_kernel.h"

namespace chorus::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class Arch>
class SampleBlock {
 public:
  CHORUS_DEVICE SampleBlock(Arch& arch, const SampleParams& params)
      : arch_(arch),
        params_(params),
        scans_(arch),
        weights_(arch),
        nucleus_(arch),
        n_(params.valid_vocabulary),
        row_(arch.Global(params.rows, params.capacity).Load(arch.Block())),
        logits_(params.logits + int64_t{row_.logits_row} * params.stride),
        scores_(params.scores + int64_t{arch.Block()} * params.valid_vocabulary) {}

  CHORUS_DEVICE void Run() {
    const int32_t token = ChooseToken();
    if (arch_.Thread() == 0) {
      arch_.Global(params_.tokens, params_.capacity).Store(arch_.Block(), token);
    }
    if (token >= 0 && row_.num_logprobs >= 0) FillLogprobs(token);
  }

 private:
  CHORUS_DEVICE bool changed() const { return row_.num_penalties + row_.num_biases > 0; }
  // What is drawn from: the logits themselves when nothing changes them.
  CHORUS_DEVICE auto Scores() const { return arch_.Global(changed() ? scores_ : logits_, n_); }
  static CHORUS_DEVICE bool Usable(float largest) {
    return largest < kInfinity && largest > -kInfinity;
  }

  CHORUS_DEVICE int32_t ChooseToken() {
    raw_max_ = scans_.Largest(arch_.Global(logits_, n_), n_);
    if (!Usable(raw_max_.value)) return -1;
    ScoredId best = raw_max_;
    if (changed()) {
      ChangeScores();
      best = scans_.Largest(Scores(), n_);
      if (!Usable(best.value)) return -1;
    }
    return row_.temperature == 0.0f ? best.id : DrawToken(best.value);
  }

  // Repetition, then frequency and presence, then the bias, as the CPU op.
  CHORUS_DEVICE void ChangeScores() {
    const auto scores = arch_.Global(const_cast<float*>(scores_), n_);
    scans_.ForEach(arch_.Global(logits_, n_), n_,
                   [&](float logit, int i) { scores.Store(i, logit); });
    arch_.Sync();
    const auto penalties = arch_.Global(params_.penalties, params_.penalty_capacity);
    for (int i = arch_.Thread(); i < row_.num_penalties; i += kSampleThreads) {
      const SamplePenalty penalty = penalties.Load(row_.first_penalty + i);
      scores.Store(penalty.id, Penalized(scores.Load(penalty.id), penalty.output_count));
    }
    arch_.Sync();
    const auto biases = arch_.Global(params_.biases, params_.bias_capacity);
    for (int i = arch_.Thread(); i < row_.num_biases; i += kSampleThreads) {
      const SampleBias bias = biases.Load(row_.first_bias + i);
      scores.Store(bias.id, scores.Load(bias.id) + bias.bias);
    }
    arch_.Sync();
  }

  CHORUS_DEVICE float Penalized(float score, int32_t output_count) const {
    const float repetition = row_.repetition_penalty;
    if (repetition != 1.0f) score = score < 0.0f ? score * repetition : score / repetition;
    if (output_count == 0) return score;
    return score -
           (row_.frequency_penalty * static_cast<float>(output_count) + row_.presence_penalty);
  }

  CHORUS_DEVICE int32_t DrawToken(float max) {
    if (row_.top_k <= 0 || row_.top_k >= n_) return DrawFrom(Scores(), n_, max);
    const float least = scans_.AtRank(Scores(), n_, n_ - row_.top_k);
    const auto among = [least](float value) { return value >= least; };
    const auto candidates = arch_.Global(const_cast<float*>(scores_), n_);
    const int count = scans_.Compact(Scores(), n_, among, [&](int position, float value, int) {
      candidates.Store(position, value);
    });
    const int drawn = DrawFrom(arch_.Global(scores_, n_), count, max);
    // The scores may lie under the candidates by now.
    if (changed()) ChangeScores();
    scans_.Compact(Scores(), n_, among, [&](int position, float, int i) {
      if (position == drawn) scans_.words().Store(scans_.kPosition, static_cast<uint32_t>(i));
    });
    return static_cast<int32_t>(scans_.words().Load(scans_.kPosition));
  }

  // Temperature, top-p and min-p, and the draw.
  template <class Span>
  CHORUS_DEVICE int DrawFrom(const Span& values, int n, float max) {
    WeightOf weight_of{max, 1.0f / row_.temperature, {0, n, 0.0f}};
    double total = weights_.SumWhole(values, n, weight_of);
    if (row_.top_p < 1.0f) {
      weight_of.cut = nucleus_.Find(values, n, weight_of, total, row_.top_p);
    }
    weight_of.cut.min_p = row_.min_p;
    if (row_.top_p < 1.0f || row_.min_p > 0.0f) total = weights_.SumCut(values, n, weight_of);
    return weights_.Draw(values, n, weight_of, total,
                         UniformDraw(row_.seed, row_.choice, row_.position));
  }

  // Log-probabilities of the raw logits.
  CHORUS_DEVICE void FillLogprobs(int32_t token) {
    const auto logits = arch_.Global(logits_, n_);
    const double total = weights_.SumWhole(logits, n_, {raw_max_.value, 1.0f, {0, n_, 0.0f}});
    const double log_sum = double{raw_max_.value} + log(total);
    if (arch_.Thread() == 0) {
      const auto logprob = static_cast<float>(double{logits.Load(token)} - log_sum);
      arch_.Global(params_.logprobs, params_.capacity).Store(arch_.Block(), logprob);
    }
    const int count = Min(Min(row_.num_logprobs, kMaxTopLogprobs), n_);
    if (count < 1) return;
    GatherTop(count);
    const auto top = Shared<uint32_t>(arch_, 4 * RowScans<Arch>::kFree, 2 * kMaxTopLogprobs);
    const auto value_of = [&](int i) { return std::bit_cast<float>(top.Load(2 * i)); };
    if (arch_.Thread() >= count) return;
    const float value = value_of(arch_.Thread());
    const uint32_t id = top.Load(2 * arch_.Thread() + 1);
    int rank = 0;
    for (int i = 0; i < count; ++i) {
      const float other = value_of(i);
      rank += other > value || (other == value && top.Load(2 * i + 1) < id) ? 1 : 0;
    }
    const auto all_top = arch_.Global(params_.top, int64_t{params_.capacity} * kMaxTopLogprobs);
    all_top.Store(
        int64_t{arch_.Block()} * kMaxTopLogprobs + rank,
        DeviceTokenLogprob{static_cast<int32_t>(id), static_cast<float>(double{value} - log_sum)});
  }

  // The `count` best logits, as value and id, into the free words of the scratch, in any order.
  CHORUS_DEVICE void GatherTop(int count) {
    const auto logits = arch_.Global(logits_, n_);
    const auto top = Shared<uint32_t>(arch_, 4 * RowScans<Arch>::kFree, 2 * kMaxTopLogprobs);
    const float least = scans_.AtRank(logits, n_, n_ - count);
    const auto put = [&](int place, float value, int i) {
      top.Store(2 * place, std::bit_cast<uint32_t>(value));
      top.Store(2 * place + 1, static_cast<uint32_t>(i));
    };
    const int above = scans_.Compact(
        logits, n_, [least](float value) { return value > least; }, put);
    scans_.Compact(
        logits, n_, [least](float value) { return value == least; },
        [&](int position, float value, int i) {
          if (above + position < count) put(above + position, value, i);
        });
  }

  Arch& arch_;
  const SampleParams& params_;
  RowScans<Arch> scans_;
  RowWeights<Arch> weights_;
  RowNucleus<Arch> nucleus_;
  const int n_;
  const DeviceSampleRow row_;
  const float* const logits_;
  const float* const scores_;
  ScoredId raw_max_{};
};

template <class Arch>
CHORUS_DEVICE void SampleBody(Arch& arch, const SampleParams& params) {
  if (arch.Block() >= arch.Global(params.num_rows, 1).Load(0)) return;
  SampleBlock<Arch>(arch, params).Run();
}

}  // namespace

CHORUS_KERNEL(kSample, SampleParams, kSampleThreads, 1, SampleBody(arch, params))

}  // namespace chorus::kernels
