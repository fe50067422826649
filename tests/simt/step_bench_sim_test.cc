// The bench of whole steps on the simulator: what it runs is what its cases say, and its report has
// all of it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/lora/tiles.h"
#include "tests/simt/step_device_sim.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using bench::Json;
using bench::PreparedStep;
using bench::StepCase;
using bench::StepRig;
using testing::Contains;
using testing::HasSubstr;

bench::StepBenchOptions TinyOptions(bench::StepDevice* device,
                                    std::vector<absl::string_view> more = {}) {
  std::vector<absl::string_view> arguments = {"--shape", "tiny", "--blocks", "2", "--replays", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  auto options = bench::ParseStepBench(arguments);
  EXPECT_TRUE(options.ok()) << options.status();
  AdaptToSim(device, &*options);
  return *options;
}

class StepRigTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.rig.graphs = false;
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
  bench::StepBenchOptions options_ = TinyOptions(&device_);
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

TEST_F(StepRigTest, LogitsThatAreNotFiniteAreAnError) {
  PreparedStep step = Prepare(Case("1 rows, 1 x r16 all"));
  ASSERT_TRUE(rig_->Enter(&step).ok());
  const auto stream = *device_.device->NewStream(kernels::Device::Priority::kNormal);
  ASSERT_TRUE(stream->Fill(rig_->pool().base, 0xff, rig_->pool().total_bytes()).ok());
  ASSERT_TRUE(stream->Synchronize().ok());
  EXPECT_EQ(rig_->Run(&step).status(), absl::InternalError("a row's logits are not finite"));
}

class StepBenchTest : public testing::Test {
 protected:
  Json Run(const std::vector<absl::string_view>& more, int64_t pool_bytes = int64_t{2} << 20) {
    device_ = OpenSimStepDevice({.order = kernels::SimOrder::kTimed});
    bench::StepBenchOptions options = TinyOptions(&device_, more);
    options.rig.pool_bytes = pool_bytes;
    said_.clear();
    const auto result = bench::RunStepBench(options, &device_,
                                            [&](const std::string& line) { said_ += line + "\n"; });
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(SimOf(device_).Finish().ok()) << SimOf(device_).Finish();
    return result.ok() ? *result : Json();
  }

  bench::StepDevice device_;
  std::string said_;
};

TEST_F(StepBenchTest, ReportHasEveryCaseWithItsTimesAndShares) {
  const TempDir dir;
  const std::string path = dir.path() + "/steps.json";
  const Json result = Run({"--json", path});
  std::ifstream file(path);
  EXPECT_EQ(Json::parse(file), result);
  EXPECT_EQ(result["label"], "simt");
  EXPECT_TRUE(result["done"].get<bool>());
  std::vector<std::string> want, got;
  for (const StepCase& c : bench::StepCases(*bench::FindStepModel("tiny"))) want.push_back(c.name);
  for (const Json& c : result["cases"]) {
    got.push_back(c["name"]);
    EXPECT_THAT(said_, HasSubstr(got.back()));
    for (const char* side : {"base", "with_adapters"}) {
      const Json& times = c[side];
      EXPECT_EQ(times["steps"], 4) << c["name"];
      EXPECT_EQ(times["blocks_us"].size(), 2u);
      EXPECT_EQ(times["graph_replays"], c["kind"] == "decode" ? 1 : 0);
      EXPECT_NEAR(times["share"].get<double>() * times["us"].get<double>(),
                  c["cost"][side]["floor_us"].get<double>(), 1e-6);
      EXPECT_GE(times["host_gap_us"].get<double>(), 0.0);
    }
    const double ratio = c["with_adapters"]["us"].get<double>() / c["base"]["us"].get<double>();
    EXPECT_DOUBLE_EQ(c["ratio"].get<double>(), ratio);
    // On the simulator a launch takes as long whatever it does: only LoRA's launches are seen.
    EXPECT_EQ(ratio > 1.0 + 1e-9, c["adapters"].get<int>() > 0) << c["name"];
    EXPECT_EQ(c["counts"].get<bool>(), c["base"]["share"].get<double>() >= 0.70);
    EXPECT_GE(c["floor_ratio"].get<double>(), 1.0);
  }
  EXPECT_EQ(got, want);
  EXPECT_THAT(said_, HasSubstr("slow base: the ratio does not count"));
}

TEST_F(StepBenchTest, AColdAdapterWaitsForItsCopies) {
  const Json cold = Run({"--only", "no such case"})["cold_adapter"];
  const bench::StepModel tiny = *bench::FindStepModel("tiny");
  const int64_t cell = int64_t{2} * 64 * 16 * 2;
  const int64_t cells =
      (bench::AdapterBytes(tiny.config, tiny.sizes.rank, false) + cell - 1) / cell;
  EXPECT_EQ(cold["copies"], cells);
  EXPECT_EQ(cold["bytes"], cells * cell);
  EXPECT_GE(cold["copy_us"].get<double>(), 2.0 * static_cast<double>(cells));
  EXPECT_NEAR(cold["delay_us"].get<double>(), cold["copy_wall_us"].get<double>(), 1.0);
  // The second layer's copies run beside the first layer.
  EXPECT_LT(cold["by_layer_delay_us"].get<double>(), 0.9 * cold["delay_us"].get<double>());
  EXPECT_GE(cold["by_layer_delay_us"].get<double>(), 0.0);
}

TEST_F(StepBenchTest, CasesForWhichThePoolIsTooSmallAreSkippedByName) {
  const Json result = Run({}, 60 * 2 * 4096);
  std::vector<std::string> skipped;
  for (const Json& c : result["cases"]) {
    EXPECT_EQ(c.contains("skipped"), !c.contains("base")) << c["name"];
    if (c.contains("skipped")) skipped.push_back(c["skipped"]);
  }
  EXPECT_THAT(skipped, Contains(HasSubstr("4 rows, 4 x r16 all: needs ")));
  EXPECT_THAT(skipped, Contains(HasSubstr("pages, the pool has 60")));
  EXPECT_LT(skipped.size(), result["cases"].size());
}

TEST_F(StepBenchTest, OnlyWhatWasAskedForIsMeasured) {
  EXPECT_EQ(Run({"--only", "prefill"})["cases"].size(), 2u);
  const Json ceilings = Run({"--ceilings"});
  EXPECT_TRUE(ceilings["cases"].empty());
  EXPECT_FALSE(ceilings.contains("cold_adapter"));
  EXPECT_TRUE(ceilings["done"].get<bool>());
}

TEST_F(StepBenchTest, LaunchesOfEagerStepsAreCounted) {
  const auto launches = [&](const char* layers) {
    const Json result = Run({"--no-graphs", "--layers", layers, "--only", "1 rows, 1 x r16 all"});
    std::vector<int64_t> of_sides;
    for (const char* side : {"base", "with_adapters"}) {
      EXPECT_EQ(result["cases"][0][side]["graph_replays"], 0);
      of_sides.push_back(result["cases"][0][side]["launches"]);
    }
    return of_sides;
  };
  const std::vector<int64_t> two = launches("2"), three = launches("3"), four = launches("4");
  for (size_t side = 0; side < 2; ++side) {
    EXPECT_GT(three[side], two[side]);
    EXPECT_EQ(four[side] - three[side], three[side] - two[side]);
  }
  EXPECT_GT(two[1], two[0]);
}

TEST(StepBenchOptionsTest, WhatIsWrongIsNamed) {
  const auto said = [](const std::vector<absl::string_view>& arguments) {
    return std::string(bench::ParseStepBench(arguments).status().message());
  };
  EXPECT_THAT(said({"--shape", "gpt"}), HasSubstr("shape gpt: expected one of"));
  EXPECT_THAT(said({"--shape"}), HasSubstr("--shape: no such argument, or no value"));
  EXPECT_THAT(said({"--fast"}), HasSubstr("--fast: no such argument"));
  EXPECT_EQ(said({"--replays", "0"}), "--replays: expected a count above 0, got 0");
  EXPECT_EQ(said({"--tflops", "many"}), "--tflops: expected a number above 0, got many");
}

}  // namespace
}  // namespace chorus::test
