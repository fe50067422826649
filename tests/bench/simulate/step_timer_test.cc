// What the simulator takes a step to last: the floor that bench/gpu has for the same step, and what
// was measured on a CPU.
#include "bench/simulate/step_timer.h"

#include "bench/simulate/simulated_adapter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/bench/simulate/machine_of.h"

namespace chorus::bench {
namespace {

// The plan of a case whose sequences have adapters in ascending order, the base first.
engine::StepPlan PlanOf(const Machine& machine, const StepCase& c) {
  engine::StepPlan plan;
  for (size_t slot = 0; slot < c.ranks.size(); ++slot) {
    auto contents = std::make_shared<kernels::LoraSlot>();
    contents->modules = LayoutOfRank(machine, c.ranks[slot], c.attention_only).modules;
    plan.slot_changes.push_back({static_cast<int32_t>(slot), std::move(contents)});
  }
  plan.sequence_rows_begin = {0};
  for (const StepSequence& sequence : c.sequences) {
    const auto first = static_cast<int32_t>(plan.num_rows());
    for (int32_t row = 0; row < sequence.rows; ++row) {
      plan.tokens.push_back(1);
      plan.positions.push_back(sequence.context - sequence.rows + row);
      plan.sequence_rows.push_back(first + row);
    }
    plan.sequence_rows_begin.push_back(first + sequence.rows);
    plan.samples.push_back({.row = first + sequence.rows - 1});
    if (sequence.adapter < 0) continue;
    if (plan.segments.empty() || plan.segments.back().slot != sequence.adapter) {
      plan.segments.push_back({sequence.adapter, first, 0});
    }
    plan.segments.back().num_rows += sequence.rows;
  }
  return plan;
}

StepCase Decodes(int rows, int context, int adapters, int rank) {
  StepCase c;
  c.ranks.assign(static_cast<size_t>(adapters), rank);
  for (int row = 0; row < rows; ++row) {
    c.sequences.push_back({context, 1, adapters == 0 ? -1 : row * adapters / rows});
  }
  return c;
}

TEST(StepTimerTest, AStepCostsWhatTheGpusBenchSaysOfTheSameCase) {
  const Machine machine = MachineNamed("h100-llama-3-8b");
  StepCase mixed;
  mixed.ranks = {8, 64};
  mixed.attention_only = true;
  mixed.sequences = {{700, 256, -1}, {33, 1, 0}, {90, 1, 1}, {512, 512, 1}};
  for (const StepCase& c : {Decodes(1, 100, 0, 0), Decodes(64, 512, 16, 16), mixed}) {
    StepTimer timer(machine);
    const double seconds = timer.Time(PlanOf(machine, c));
    const StepCost expected = CostOf(machine.model, c);
    EXPECT_EQ(timer.cost().weight_bytes, expected.weight_bytes);
    EXPECT_EQ(timer.cost().kv_bytes, expected.kv_bytes);
    EXPECT_EQ(timer.cost().adapter_bytes, expected.adapter_bytes);
    EXPECT_EQ(timer.cost().linear_flops, expected.linear_flops);
    EXPECT_EQ(timer.cost().attention_flops, expected.attention_flops);
    EXPECT_EQ(timer.cost().adapter_flops, expected.adapter_flops);
    EXPECT_NEAR(seconds, 1e-6 * FloorUs(expected, {2.7e6, 600e6}) + 0.5e-3, 1e-12);
  }
}

TEST(StepTimerTest, AStepWorkedOutByHand) {
  Machine machine = MachineOf(1e-3);
  machine.step = {.bytes_per_s = 1e9,
                  .flops_per_s = 1e12,
                  .step_s = 1e-3,
                  .row_s = 2e-4,
                  .adapter_row_s = 5e-5};
  StepTimer timer(machine);
  // Two decodes at 10 and 20 tokens, the second with rank 16 on all linears.
  StepCase c;
  c.ranks = {16};
  c.sequences = {{10, 1, -1}, {20, 1, 0}};
  const double seconds = timer.Time(PlanOf(machine, c));
  // A layer: qkv 384 x 128, o 128 x 128, gate and up 384 x 128, down 128 x 192, and two norms in
  // f32; beside the layers a norm, the lm_head of 320 x 128 and two rows of the embedding.
  const double weights = 2 * (2.0 * (384 + 128 + 384 + 192) * 128 + 4 * 2 * 128) + 4 * 128 +
                         2.0 * 320 * 128 + 2 * 2.0 * 128;
  // K and V of 128 in two layers; both rows' own are written.
  const double kv = (10 + 20 + 2) * 2 * 2 * 2.0 * 128;
  // Rank 16 of every linear's inputs and outputs: q, k, v, o 128 and 128; gate, up 128 and 192;
  // down 192 and 128.
  const double adapter = 2 * 2.0 * 16 * (4 * (128 + 128) + 3 * (128 + 192));
  EXPECT_NEAR(seconds, (weights + kv + adapter) / 1e9 + 1e-3 + 2 * 2e-4 + 5e-5, 1e-12);
}

TEST(StepTimerTest, ChoicesThatShareARowPayItsLmHeadOnce) {
  const Machine machine = MachineOf(1e-3);
  StepTimer timer(machine);
  engine::StepPlan plan = PlanOf(machine, Decodes(2, 20, 0, 0));
  timer.Time(plan);
  const double alone = timer.cost().linear_flops;
  plan.samples.push_back(plan.samples.back());
  timer.Time(plan);
  EXPECT_EQ(timer.cost().linear_flops, alone);
}

TEST(StepTimerTest, ASlotThatIsGivenToAnotherCostsWhatTheOtherDoes) {
  const Machine machine = MachineNamed("a10g-llama-7b");
  StepTimer timer(machine);
  timer.Time(PlanOf(machine, Decodes(1, 20, 1, 64)));
  const int64_t before = timer.cost().adapter_bytes;
  timer.Time(PlanOf(machine, Decodes(1, 20, 1, 8)));
  EXPECT_EQ(before, 8 * timer.cost().adapter_bytes);
}

// The medians of bench/results/serving-20261126T185936Z-amd-epyc-f26m2-2c.json.
TEST(StepTimerTest, TheCpuTakesAboutAsLongAsItWasMeasuredToTake) {
  const Machine machine = MachineNamed("cpu-smollm2");
  const auto ms = [&](const StepCase& c) {
    StepTimer timer(machine);
    return 1e3 * timer.Time(PlanOf(machine, c));
  };
  EXPECT_NEAR(ms(Decodes(1, 128, 0, 0)), 6.62, 0.05 * 6.62);
  EXPECT_NEAR(ms(Decodes(16, 128, 0, 0)), 9.34, 0.05 * 9.34);
  EXPECT_NEAR(ms(Decodes(16, 128, 16, 16)), 13.95, 0.05 * 13.95);
  StepCase prompt;  // in two chunks
  prompt.sequences = {{256, 256, -1}};
  double prefill = ms(prompt);
  prompt.sequences = {{512, 256, -1}};
  prefill += ms(prompt);
  EXPECT_NEAR(prefill, 152.6, 0.05 * 152.6);
}

TEST(MachinesTest, AdaptersWeighWhatTheirRankMakesThem) {
  const Machine a10g = MachineNamed("a10g-llama-7b");
  // S-LoRA: rank r takes the place of 4r tokens, so r64 of 256, which are 16 pages.
  EXPECT_EQ(LayoutOfRank(a10g, 64, true).num_ids, 16);
  EXPECT_EQ(LayoutOfRank(a10g, 8, true).num_ids, 2);
  EXPECT_EQ(LayoutOfRank(MachineNamed("h100-llama-3-8b"), 16, false).num_ids, 40);
  const absl::Status status = FindMachine("b200").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("cpu-smollm2, h100-llama-3-8b"));
}

}  // namespace
}  // namespace chorus::bench
