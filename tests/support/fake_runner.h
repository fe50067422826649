// FakeRunner: a Runner without a model that notices every page mistake. Each token leaves a hash of
// everything before it in its page; the next row reads it back through the page table, and what is
// drawn depends on it. A stale, foreign, uncopied or shared-by-mistake page, a wrong adapter or a
// wrong position changes the tokens, and ExpectedTokens says what they should have been.
#ifndef CHORUS_TESTS_SUPPORT_FAKE_RUNNER_H_
#define CHORUS_TESTS_SUPPORT_FAKE_RUNNER_H_

#include <array>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/adapters/adapter_version.h"
#include "engine/model/runner.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

class FakeRunner : public Runner {
 public:
  static constexpr int32_t kVocabulary = 97;
  static constexpr int32_t kEos = 0;

  explicit FakeRunner(const kernels::PoolView& view, const RunnerLimits& limits = {});

  // CHECKs the plan's own consistency, and that it keeps to the limits.
  absl::StatusOr<StepResult> Run(const StepPlan& plan) override;

  // The first `count` tokens of a choice, computed without pages; an activated LoRA computes from
  // its last invocation on. kEos does not end it.
  static std::vector<int32_t> ExpectedTokens(std::span<const int32_t> prompt,
                                             const AdapterVersion* adapter, uint64_t seed,
                                             int32_t choice, int count);

  // Sequences, over all steps, that crossed from the base to an adapter within one.
  uint64_t num_crossings() const { return num_crossings_; }

 private:
  using Page = std::array<uint64_t, kernels::kPageTokens>;  // hash of the prefix up to each token

  void CheckPlan(const StepPlan& plan) const;
  void CheckLimits(const StepPlan& plan) const;
  void CheckCrossings(const StepPlan& plan);
  void ApplySlotChanges(const StepPlan& plan);
  void MoveHostPages(const StepPlan& plan);

  const kernels::PoolView view_;
  const RunnerLimits limits_;
  std::vector<Page> pages_;
  std::vector<Page> host_pages_;
  std::map<int32_t, std::shared_ptr<const kernels::LoraSlot>> slots_;
  uint64_t num_crossings_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_TESTS_SUPPORT_FAKE_RUNNER_H_
