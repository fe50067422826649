// Rows to sample, on the CPU and by the device's kernel: both must agree on
// every token and, to the bit, on every log-probability.
#ifndef CHORUS_TESTS_SUPPORT_OPS_SAMPLE_CASE_H_
#define CHORUS_TESTS_SUPPORT_OPS_SAMPLE_CASE_H_

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/sampling/sample.h"
#include "kernels/sampling/sample_plan.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {

struct SampleCase {
  int32_t vocabulary = 1003;  // valid; 5 more are padding, larger than all
  std::vector<std::vector<float>> logits;
  std::vector<kernels::SampleRow> rows;

  kernels::TensorView LogitsView(std::vector<float>& storage) const {
    const int64_t stride = vocabulary + 5;
    storage.assign(logits.size() * static_cast<size_t>(stride), 100.0f);
    for (size_t row = 0; row < logits.size(); ++row) {
      std::copy(logits[row].begin(), logits[row].end(),
                storage.begin() + static_cast<std::ptrdiff_t>(row) * stride);
    }
    return {storage.data(),
            static_cast<int64_t>(logits.size()),
            stride,
            stride,
            kernels::DType::kF32,
            kernels::DeviceType::kCpu};
  }
};

inline std::vector<kernels::SampledToken> SampleOnCpu(const SampleCase& c) {
  std::vector<float> storage;
  const kernels::TensorView logits = c.LogitsView(storage);
  std::vector<kernels::SampledToken> tokens(c.rows.size());
  kernels::ComputePool workers(1);
  const absl::Status status = kernels::Sample(
      {.logits = logits, .valid_vocabulary = c.vocabulary, .rows = c.rows, .tokens = tokens},
      kernels::Stream::Cpu(&workers));
  CHORUS_CHECK(status.ok());
  return tokens;
}

// What the kernel wrote, and what is wrong with it.
class SampleRun {
 public:
  explicit SampleRun(const SampleCase& c) : c_(c), view_(c.LogitsView(logits_)) {
    const auto status =
        PlanSample(c.rows, static_cast<int32_t>(c.logits.size()), c.vocabulary, plan_);
    CHORUS_CHECK(status.ok());
    const size_t capacity = c.rows.size() + 1;  // one that is not meant
    count_[0] = static_cast<int32_t>(c.rows.size());
    plan_.rows.resize(capacity, {.logits_row = -1});
    tokens_.resize(capacity);
    logprobs_.resize(capacity);
    top_.resize(capacity * kernels::kMaxTopLogprobs);
    scores_.resize(capacity * static_cast<size_t>(c.vocabulary));
    AddInput(memory_, "logits", logits_);
    AddInput(memory_, "rows", plan_.rows);
    AddInput(memory_, "num_rows", count_);
    AddInput(memory_, "penalties", plan_.penalties);
    AddInput(memory_, "biases", plan_.biases);
    AddOutput("tokens", tokens_, kernels::SimtUse::kWriteOnce);
    AddOutput("logprobs", logprobs_, kernels::SimtUse::kWriteOnce);
    AddOutput("top", top_, kernels::SimtUse::kWriteOnce);
    AddOutput("scores", scores_, kernels::SimtUse::kReadWrite);
  }

  // "" or what failed: the executor, or a result that is not the CPU's.
  std::string Run(const std::vector<kernels::SampledToken>& want,
                  const kernels::SimtOptions& options) {
    memory_.PoisonOutputs();
    std::fill(scores_.begin(), scores_.end(), std::numeric_limits<float>::quiet_NaN());
    const kernels::SampleParams params{
        .logits = logits_.data(),
        .rows = plan_.rows.data(),
        .num_rows = count_.data(),
        .penalties = plan_.penalties.data(),
        .biases = plan_.biases.data(),
        .scores = scores_.data(),
        .tokens = tokens_.data(),
        .logprobs = logprobs_.data(),
        .top = top_.data(),
        .logit_rows = static_cast<int32_t>(view_.rows),
        .stride = static_cast<int32_t>(view_.stride),
        .valid_vocabulary = c_.vocabulary,
        .capacity = static_cast<int32_t>(plan_.rows.size()),
        .penalty_capacity = static_cast<int32_t>(plan_.penalties.size()),
        .bias_capacity = static_cast<int32_t>(plan_.biases.size())};
    const std::string failure =
        RunOp(kernels::kSample, params.capacity, kernels::SampleSharedBytes(c_.vocabulary), params,
              memory_, options);
    if (!failure.empty()) return failure;
    for (size_t row = 0; row < want.size(); ++row) {
      const std::string wrong = WrongRow(row, want[row]);
      if (!wrong.empty()) return absl::StrCat("row ", row, ": ", wrong);
    }
    return tokens_[want.size()] == -1 ? "" : "a row was sampled that is not meant";
  }

 private:
  template <class T>
  void AddOutput(const char* name, std::vector<T>& values, kernels::SimtUse use) {
    memory_.Add(name, values.data(), static_cast<int64_t>(values.size()), use);
  }

  std::string WrongRow(size_t row, const kernels::SampledToken& want) const {
    if (tokens_[row] != want.token) {
      return absl::StrCat("token is ", tokens_[row], ", want ", want.token);
    }
    const int num_logprobs = c_.rows[row].params->num_logprobs;
    if (want.token < 0 || num_logprobs < 0) {
      return std::isnan(logprobs_[row]) ? "" : "a log-probability was written";
    }
    if (logprobs_[row] != want.logprob) {
      return absl::StrCat("log-probability is ", logprobs_[row], ", want ", want.logprob);
    }
    for (size_t i = 0; i < size_t{kernels::kMaxTopLogprobs}; ++i) {
      const kernels::DeviceTokenLogprob& got = top_[row * kernels::kMaxTopLogprobs + i];
      if (i >= want.top.size()) {
        if (got.token != -1) return absl::StrCat("best ", i, " was written");
      } else if (got.token != want.top[i].token || got.logprob != want.top[i].logprob) {
        return absl::StrCat("best ", i, " is ", got.token, " at ", got.logprob, ", want ",
                            want.top[i].token, " at ", want.top[i].logprob);
      }
    }
    return "";
  }

  const SampleCase& c_;
  std::vector<float> logits_;
  const kernels::TensorView view_;
  kernels::SamplePlan plan_;
  std::vector<int32_t> count_{0};
  std::vector<int32_t> tokens_;
  std::vector<float> logprobs_, scores_;
  std::vector<kernels::DeviceTokenLogprob> top_;
  kernels::SimtMemory memory_;
};

inline std::string RunSample(const SampleCase& c, const kernels::SimtOptions& options) {
  return SampleRun(c).Run(SampleOnCpu(c), options);
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_OPS_SAMPLE_CASE_H_
