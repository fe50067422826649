// What the bench of whole steps runs is what its cases say: rows, adapters, pages and bytes.
#include <algorithm>
#include <numeric>
#include <set>

#include "gtest/gtest.h"
#include "kernels/lora/tiles.h"
#include "tests/simt/step_device_sim.h"

namespace chorus::test {
namespace {

using bench::PreparedStep;
using bench::StepCase;
using bench::StepRig;

class StepRigTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.rig.graphs = false;
    Start();
  }
  void Start() {
    auto rig =
        StepRig::Create(device_.device.get(), device_.ops.get(), options_.model, options_.rig);
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = *std::move(rig);
  }
  void TearDown() override {
    rig_.reset();
    EXPECT_TRUE(SimOf(device_).Finish().ok()) << SimOf(device_).Finish();
  }

  StepCase Case(const std::string& name) {
    for (const StepCase& c : bench::StepCases(options_.model)) {
      if (c.name == name) return c;
    }
    ADD_FAILURE() << "no case " << name;
    return {};
  }
  PreparedStep Prepare(const StepCase& c) {
    auto step = rig_->Prepare(c);
    EXPECT_TRUE(step.ok()) << step.status();
    return *std::move(step);
  }
  // The logits of every row, [rows][vocabulary], with the step's adapters in the slots.
  std::vector<std::vector<float>> Logits(const StepCase& c) {
    PreparedStep step = Prepare(c);
    EXPECT_TRUE(rig_->Enter(&step).ok());
    std::vector<int32_t> rows(static_cast<size_t>(step.plan.num_rows()));
    std::iota(rows.begin(), rows.end(), 0);
    const auto logits = rig_->runner().RunForLogits(step.plan, rows, {.lora = true});
    EXPECT_TRUE(logits.ok()) << logits.status();
    std::vector<std::vector<float>> result;
    const auto vocabulary = static_cast<std::ptrdiff_t>(options_.model.config.vocabulary);
    for (size_t row = 0; row < rows.size(); ++row) {
      const auto begin = logits->begin() + static_cast<std::ptrdiff_t>(row) * vocabulary;
      result.emplace_back(begin, begin + vocabulary);
    }
    return result;
  }

  bench::StepDevice device_ = OpenSimStepDevice({.order = kernels::SimOrder::kLazy});
  bench::StepBenchOptions options_ = TinyStepOptions(&device_);
  std::unique_ptr<StepRig> rig_;
};

// By the law of the mixed batch a row has the bits that it would have if all had its adapter.
TEST_F(StepRigTest, EveryRowHasItsAdapterAndNoOther) {
  const StepCase mixed = Case("4 rows, 4 x r16 all");
  const auto got = Logits(mixed);
  const auto without = [&] {
    StepCase base = mixed;
    for (bench::StepSequence& sequence : base.sequences) sequence.adapter = -1;
    return Logits(base);
  }();
  for (size_t adapter = 0; adapter < mixed.ranks.size(); ++adapter) {
    StepCase all = mixed;
    for (bench::StepSequence& sequence : all.sequences) {
      sequence.adapter = static_cast<int32_t>(adapter);
    }
    const auto want = Logits(all);
    for (size_t row = 0; row < got.size(); ++row) {
      const bool own = mixed.sequences[row].adapter == static_cast<int32_t>(adapter);
      EXPECT_EQ(got[row] == want[row], own) << "row " << row << ", adapter " << adapter;
    }
  }
  for (size_t row = 0; row < got.size(); ++row) EXPECT_NE(got[row], without[row]) << row;
}

TEST_F(StepRigTest, AdaptersOfAttentionAloneAndOfOtherRanksAreOthers) {
  StepCase c = Case("4 rows, 2 x r16 all");
  const auto all = Logits(c);
  c.attention_only = true;
  EXPECT_NE(Logits(c), all);
  const StepCase ranks = Case("4 rows, 2 x r8/24 all");
  const PreparedStep step = Prepare(ranks);
  ASSERT_EQ(step.slots.size(), 2u);
  EXPECT_EQ(step.slots[0]->entry(1, kernels::kDown).rank, 8);
  EXPECT_EQ(step.slots[1]->entry(0, kernels::kQ).rank, 24);
  EXPECT_EQ(Prepare(Case("4 rows, 2 x r16 qkvo")).slots[1]->entry(0, kernels::kUp).rank, 0);
}

TEST_F(StepRigTest, PagesAreNobodyElsesComeFromAllOverThePoolAndAreTheBasesToo) {
  for (const StepCase& c : bench::StepCases(options_.model)) {
    const PreparedStep step = Prepare(c);
    std::vector<int32_t> pages = step.plan.page_ids;
    EXPECT_EQ(Prepare(WithoutAdapters(c)).plan.page_ids, pages) << c.name;
    for (const auto& slot : step.slots) {
      for (const int32_t cell : slot->cells) {
        if (cell < rig_->pool().num_ids) pages.push_back(cell);
      }
    }
    const auto [lowest, highest] = std::minmax_element(pages.begin(), pages.end());
    EXPECT_GT(*highest - *lowest, rig_->pool().num_ids / 4) << c.name;
    EXPECT_FALSE(std::is_sorted(pages.begin(), pages.end())) << c.name;
    std::sort(pages.begin(), pages.end());
    EXPECT_EQ(std::adjacent_find(pages.begin(), pages.end()), pages.end()) << c.name;
  }
}

TEST_F(StepRigTest, BytesOfACaseAreThoseThatLieInItsWeightsAndPages) {
  const engine::ModelConfig& config = options_.model.config;
  const int64_t row = int64_t{config.hidden} * 2;
  for (const StepCase& c : bench::StepCases(options_.model)) {
    const PreparedStep step = Prepare(c);
    const bench::StepCost cost = bench::CostOf(config, c);
    // Every parameter of the tiny model fills whole units of the device's memory.
    EXPECT_EQ(cost.weight_bytes, rig_->runner().memory_use().weights - config.vocabulary * row +
                                     step.plan.num_rows() * row)
        << c.name;
    int64_t tokens = step.plan.num_rows();  // written; read as far as positions reach
    for (size_t s = 0; s + 1 < step.plan.sequence_rows_begin.size(); ++s) {
      const int32_t last = step.plan.sequence_rows_begin[s + 1] - 1;
      const int32_t position = step.plan.positions[static_cast<size_t>(last)];
      tokens += position + 1;
      EXPECT_EQ(step.plan.page_begin[s + 1] - step.plan.page_begin[s],
                position / kernels::kPageTokens + 1);
    }
    EXPECT_EQ(cost.kv_bytes,
              tokens * rig_->pool().cell_bytes() / kernels::kPageTokens * config.layers)
        << c.name;
    int64_t tiles = 0;
    std::set<int32_t> used;
    for (const kernels::LoraSegment& segment : step.plan.segments) used.insert(segment.slot);
    for (const int32_t slot : used) {
      for (size_t i = 0; i < step.slots[static_cast<size_t>(slot)]->modules.size(); ++i) {
        const auto& entry = step.slots[static_cast<size_t>(slot)]->modules[i];
        const auto shape =
            config.linear(static_cast<kernels::LoraModule>(i % kernels::kNumLoraModules));
        tiles += (entry.rank + 7) / 8 * ((shape.inputs + 31) / 32 + (shape.outputs + 31) / 32);
      }
    }
    EXPECT_EQ(cost.adapter_bytes, tiles * 512) << c.name;
  }
}

// As Qwen2.5's: biases, and seven heads to one of K and V.
TEST_F(StepRigTest, BiasesAndGroupsOfSevenHeadsRunToo) {
  rig_.reset();
  device_ = OpenSimStepDevice({.order = kernels::SimOrder::kLazy});
  options_ = TinyStepOptions(&device_);
  engine::ModelConfig& config = options_.model.config;
  config.architecture = engine::Architecture::kQwen2;
  config.heads = 7;
  config.hidden = config.heads * config.head_dim;
  config.qkv_bias = true;
  options_.rig.pool_bytes = int64_t{4} << 20;
  Start();
  const StepCase c = Case("4 rows, 2 x r8/24 all");
  const auto got = Logits(c);
  EXPECT_NE(got, Logits(WithoutAdapters(c)));
  PreparedStep step = Prepare(c);
  ASSERT_TRUE(rig_->Enter(&step).ok());
  const auto time = rig_->Run(&step);
  ASSERT_TRUE(time.ok()) << time.status();
  EXPECT_GT(time->device_us, 0.0);
}

TEST_F(StepRigTest, LogitsThatAreNotFiniteAreAnError) {
  PreparedStep step = Prepare(Case("1 rows, 1 x r16 all"));
  ASSERT_TRUE(rig_->Enter(&step).ok());
  const auto stream = *device_.device->NewStream(kernels::Device::Priority::kNormal);
  ASSERT_TRUE(stream->Fill(rig_->pool().base, 0xff, rig_->pool().total_bytes()).ok());
  ASSERT_TRUE(stream->Synchronize().ok());
  EXPECT_EQ(rig_->Run(&step).status(), absl::InternalError("a row's logits are not finite"));
}

}  // namespace
}  // namespace chorus::test
