// What TimedRunner counts is what the floors of bench/run serving stand on: held here against sums
// done by hand for a model small enough to do them.
#include "bench/serving/timed_runner.h"

#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "kernels/device/dtype.h"

namespace chorus::bench {
namespace {

using engine::StepPlan;

class OneTokenEach : public engine::Runner {
 public:
  absl::StatusOr<engine::StepResult> Run(const StepPlan& plan) override {
    engine::StepResult result;
    result.tokens.resize(plan.samples.size());
    return result;
  }
};

// Two layers; q 4 × 8, k and v 2 × 8, o 8 × 4, gate and up 6 × 8, down 8 × 6; 10 tokens.
engine::ModelConfig SmallConfig() {
  engine::ModelConfig config;
  config.layers = 2;
  config.hidden = 8;
  config.intermediate = 6;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 2;
  config.vocabulary = 10;
  return config;
}

constexpr double kBefore = 4 * 8 + 2 * 2 * 8;         // weights of qkv in a layer
constexpr double kAfter = 8 * 4 + 2 * 6 * 8 + 8 * 6;  // of o, gate, up and down
constexpr double kHead = 10 * 8;

// A sequence's rows at `positions`, which sees its tokens up to the last of them.
void AddSequence(const std::vector<int32_t>& positions, bool sampled, StepPlan* plan) {
  if (plan->sequence_rows_begin.empty()) plan->sequence_rows_begin.push_back(0);
  for (const int32_t position : positions) {
    plan->sequence_rows.push_back(static_cast<int32_t>(plan->num_rows()));
    plan->tokens.push_back(1);
    plan->positions.push_back(position);
  }
  plan->sequence_rows_begin.push_back(static_cast<int32_t>(plan->sequence_rows.size()));
  if (sampled) plan->samples.push_back({.row = static_cast<int32_t>(plan->num_rows()) - 1});
}

StepRecord RunOne(TimedRunner* runner, const StepPlan& plan) {
  EXPECT_TRUE(runner->Run(plan).ok());
  const std::vector<StepRecord> steps = runner->TakeSteps();
  EXPECT_EQ(steps.size(), 1u);
  return steps.back();
}

TEST(TimedRunnerTest, ADecodeReadsAllWeightsOnceAndItsKv) {
  TimedRunner runner(SmallConfig(), kernels::DType::kBf16, std::make_unique<OneTokenEach>());
  StepPlan plan;
  AddSequence({4}, true, &plan);
  AddSequence({9}, true, &plan);
  const StepRecord step = RunOne(&runner, plan);
  const double weights = 2 * (kBefore + kAfter) + kHead;
  const double kv = (5 + 10) * 2 * 2 * 2;  // tokens · (K and V) · width · layers
  EXPECT_EQ(step.rows, 2);
  EXPECT_EQ(step.samples, 2);
  EXPECT_EQ(step.bytes, 2 * (weights + kv));
  // Each row meets all weights; each head's query all K and V it sees.
  EXPECT_EQ(step.flops, 2 * (2 * weights + 2.0 * (5 + 10) * 4 * 2));
  EXPECT_GE(step.end, step.begin);
}

TEST(TimedRunnerTest, APrefillComputesTheEndOfTheLastLayerOnlyWhereItSamples) {
  TimedRunner runner(SmallConfig(), kernels::DType::kBf16, std::make_unique<OneTokenEach>());
  StepPlan plan;
  AddSequence({0, 1, 2}, true, &plan);
  const StepRecord step = RunOne(&runner, plan);
  const double rows_weights = 2 * kBefore + kAfter;
  EXPECT_EQ(step.bytes, 2 * (rows_weights + kAfter + kHead + 3 * 2 * 2 * 2));
  EXPECT_EQ(step.flops, 2 * (3 * rows_weights + kAfter + kHead + 2.0 * (1 + 2 + 3) * 4 * 2));

  StepPlan unsampled;
  AddSequence({0, 1, 2}, false, &unsampled);
  EXPECT_EQ(RunOne(&runner, unsampled).bytes, 2 * (rows_weights + 3 * 2 * 2 * 2));
}

TEST(TimedRunnerTest, AnAdapterAddsItsTrueRanksUntilItsSlotIsEmptied) {
  TimedRunner runner(SmallConfig(), kernels::DType::kBf16, std::make_unique<OneTokenEach>());
  StepPlan base;
  AddSequence({0}, true, &base);
  const StepRecord without = RunOne(&runner, base);

  auto slot = std::make_shared<kernels::LoraSlot>();
  slot->modules.resize(2 * kernels::kNumLoraModules);
  slot->modules[kernels::kQ].rank = 3;
  slot->modules[kernels::kNumLoraModules + kernels::kDown].rank = 1;
  StepPlan plan = base;
  plan.slot_changes.push_back({1, slot});
  plan.segments.push_back({1, 0, 1});
  const StepRecord with = RunOne(&runner, plan);
  const double weights = 3 * (8 + 4) + 1 * (6 + 8);
  EXPECT_EQ(with.adapters, 1);
  EXPECT_EQ(with.bytes - without.bytes, 2 * weights);
  EXPECT_EQ(with.flops - without.flops, 2 * weights);

  plan.slot_changes = {{1, nullptr}};
  EXPECT_EQ(RunOne(&runner, plan).bytes, without.bytes);
}

TEST(TimedRunnerTest, WaitsForExactlyTheTokensThatAreAskedFor) {
  TimedRunner runner(SmallConfig(), kernels::DType::kBf16, std::make_unique<OneTokenEach>());
  StepPlan plan;
  AddSequence({0}, true, &plan);
  AddSequence({0}, true, &plan);
  std::thread engine([&] {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(runner.Run(plan).ok());
  });
  runner.WaitForTokens(6);
  EXPECT_EQ(runner.TakeSteps().size(), 3u);
  engine.join();
}

}  // namespace
}  // namespace chorus::bench
