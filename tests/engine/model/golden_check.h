// GoldenCheck: one model in one compute type against its golden, each request alone and all of them
// in one batch. Used by the tiny models and by SmolLM2 alike.
#ifndef CHORUS_TESTS_ENGINE_MODEL_GOLDEN_CHECK_H_
#define CHORUS_TESTS_ENGINE_MODEL_GOLDEN_CHECK_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/golden.h"
#include "tests/support/model_host.h"

namespace chorus::test {

// How far logits may lie from the reference. Absolute, because a logit is a sum of terms that are
// larger than itself.
struct GoldenTolerance {
  double logit = 0.0;  // each of the top ones, and the log-sum-exp
  // Root mean square over a case's top logits, in units of what transformers' own bf16 run has;
  // 0: not looked at.
  double rms_share = 0.0;
  double greedy_share = 0.0;  // of the generated tokens whose margin is beyond the tolerance
};

class GoldenCheck {
 public:
  // Loads every adapter of the golden into the model's host. Fails the test when that, or opening
  // the host, did not work.
  GoldenCheck(const Golden& golden, absl::StatusOr<std::unique_ptr<ModelHost>> host,
              const GoldenTolerance& tolerance);

  bool ok() const { return host_ != nullptr; }

  // Every case alone: the prompt in one step, then token by token.
  void ExpectEachAlone();
  // All cases in one batch: the prompts in one step, then token by token.
  void ExpectAllTogether();
  // All cases in one batch, the prompts in pieces that differ: bit for bit what each gave alone.
  // REQUIRES: ExpectEachAlone came first.
  void ExpectMixedBatchEqual();

 private:
  // A sequence of the case's, without tokens yet.
  HostSequence SequenceOf(const GoldenCase& one) const;
  void ExpectPositions(const GoldenCase& one, const ModelHost::Logits& logits);
  void ExpectGreedy(const GoldenCase& one, const ModelHost::Logits& logits);
  void ExpectGreedyShare();

  const Golden& golden_;
  kernels::DType dtype_ = kernels::DType::kF32;
  const GoldenTolerance tolerance_;
  std::unique_ptr<ModelHost> host_;
  std::map<std::string, int32_t> slots_ = {{"", -1}};
  size_t greedy_compared_ = 0;
  std::vector<ModelHost::Logits> alone_;  // of each case, at each position
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_MODEL_GOLDEN_CHECK_H_
