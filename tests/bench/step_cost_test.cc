// What a step costs at the least, against closed forms and against figures worked out by hand for
// models of seven and eight billion parameters.
#include "bench/gpu/step_cost.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::bench {
namespace {

StepModel Model(const char* name) {
  const auto model = FindStepModel(name);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

// `rows` decodes at a context, over `adapters` adapters of a rank.
StepCase Decodes(int rows, int context, int adapters, int rank, bool attention_only) {
  StepCase c;
  c.ranks.assign(static_cast<size_t>(adapters), rank);
  c.attention_only = attention_only;
  for (int row = 0; row < rows; ++row) {
    c.sequences.push_back({context, 1, adapters == 0 ? -1 : row % adapters});
  }
  return c;
}

// 4.3 TB/s and 790 TFLOP/s.
constexpr StepRates kRates = {.bytes_per_us = 4.3e6, .flops_per_us = 790e6};

TEST(StepCostTest, WeightsAreEachParameterOnceAndTheTokensRowsOfTheEmbedding) {
  for (const char* name : {"llama-2-7b", "llama-3-8b", "qwen2.5-7b", "tiny"}) {
    const engine::ModelConfig config = Model(name).config;
    const int64_t d = config.hidden, kv = config.kv_heads * config.head_dim;
    const int64_t matrices =
        config.layers * (2 * d * d + 2 * d * kv + 3 * d * config.intermediate) +
        d * config.vocabulary;
    const int64_t biases = config.qkv_bias ? config.layers * (d + 2 * kv) : 0;
    const int64_t vectors = (2 * config.layers + 1) * d + biases;
    const StepCost cost = CostOf(config, Decodes(3, 100, 0, 0, false));
    EXPECT_EQ(cost.weight_bytes, 2 * matrices + 4 * vectors + 3 * d * 2) << name;
    EXPECT_EQ(cost.linear_flops, 2.0 * static_cast<double>(3 * matrices)) << name;
    EXPECT_EQ(cost.kv_bytes, 3 * (100 + 1) * config.layers * 2 * kv * 2) << name;
    EXPECT_EQ(cost.adapter_bytes, 0);
  }
  EXPECT_NEAR(static_cast<double>(
                  CostOf(Model("llama-3-8b").config, Decodes(1, 1, 0, 0, false)).weight_bytes),
              15.01e9, 0.005e9);
  EXPECT_NEAR(static_cast<double>(
                  CostOf(Model("llama-2-7b").config, Decodes(1, 1, 0, 0, false)).weight_bytes),
              13.21e9, 0.006e9);
}

TEST(StepCostTest, AdaptersAreTheirTiles) {
  const engine::ModelConfig config = Model("llama-3-8b").config;
  EXPECT_NEAR(static_cast<double>(AdapterBytes(config, 16, true)), 27.3e6, 0.05e6);
  EXPECT_NEAR(static_cast<double>(AdapterBytes(config, 16, false)), 83.9e6, 0.05e6);
  EXPECT_EQ(AdapterBytes(config, 17, false), AdapterBytes(config, 24, false));
  EXPECT_EQ(AdapterBytes(config, 256, false), 16 * AdapterBytes(config, 16, false));
  const engine::ModelConfig llama2 = Model("llama-2-7b").config;
  EXPECT_NEAR(static_cast<double>(AdapterBytes(llama2, 16, true)), 33.6e6, 0.05e6);
  EXPECT_NEAR(static_cast<double>(AdapterBytes(llama2, 16, false)), 80.0e6, 0.05e6);
}

TEST(StepCostTest, EachAdapterInUseCountsOnceAndOthersNot) {
  const engine::ModelConfig config = Model("tiny").config;
  StepCase c = Decodes(4, 20, 2, 16, false);
  const int64_t one = AdapterBytes(config, 16, false);
  EXPECT_EQ(CostOf(config, c).adapter_bytes, 2 * one);
  c.ranks.push_back(64);  // in a slot, of no sequence
  EXPECT_EQ(CostOf(config, c).adapter_bytes, 2 * one);
  c.sequences[3].adapter = 2;
  EXPECT_EQ(CostOf(config, c).adapter_bytes, 2 * one + AdapterBytes(config, 64, false));
  const StepCost base = CostOf(config, WithoutAdapters(c));
  EXPECT_EQ(base.adapter_bytes, 0);
  EXPECT_EQ(base.adapter_flops, 0.0);
  EXPECT_EQ(base.weight_bytes, CostOf(config, c).weight_bytes);
}

TEST(StepCostTest, SitesDivideAnAdaptersBytes) {
  using engine::DeviceSite;
  const StepModel model = Model("llama-3-8b");
  StepCase c = Decodes(64, 512, 64, 16, false);
  const auto site = [&](DeviceSite s) { return SiteBytes(model.config, c, s); };
  // [rank, inputs] and [outputs, rank] of two bytes, 64 adapters, 32 layers.
  constexpr int64_t kUnit = int64_t{64} * 32 * 16 * 2;
  EXPECT_EQ(site(DeviceSite::kQkv), kUnit * (3 * 4096 + 4096 + 2 * 1024));
  EXPECT_EQ(site(DeviceSite::kO), kUnit * 2 * 4096);
  EXPECT_EQ(site(DeviceSite::kGateUp), kUnit * 2 * (4096 + 14336));
  EXPECT_EQ(site(DeviceSite::kDown), kUnit * (14336 + 4096));
  c.attention_only = true;
  EXPECT_EQ(site(DeviceSite::kO), kUnit * 2 * 4096);
  EXPECT_EQ(site(DeviceSite::kGateUp) + site(DeviceSite::kDown), 0);
  for (const StepCase& alone : LoraCases(model)) {
    int64_t bytes = 0;
    for (const DeviceSite s :
         {DeviceSite::kQkv, DeviceSite::kO, DeviceSite::kGateUp, DeviceSite::kDown}) {
      bytes += SiteBytes(model.config, alone, s);
    }
    EXPECT_EQ(bytes, CostOf(model.config, alone).adapter_bytes) << alone.name;
  }
}

TEST(StepCostTest, FloorsAreThoseWorkedOutByHand) {
  const auto floor_ms = [](const char* name, int rows, int adapters, int rank, bool attention) {
    return 1e-3 * FloorUs(CostOf(Model(name).config, Decodes(rows, 512, adapters, rank, attention)),
                          kRates);
  };
  EXPECT_NEAR(floor_ms("llama-3-8b", 1, 0, 0, false), 3.51, 0.006);
  EXPECT_NEAR(floor_ms("llama-3-8b", 64, 0, 0, false), 4.49, 0.006);
  EXPECT_NEAR(floor_ms("llama-3-8b", 256, 0, 0, false), 8.86, 0.015);
  EXPECT_NEAR(floor_ms("llama-2-7b", 64, 0, 0, false), 7.07, 0.01);
  EXPECT_NEAR(floor_ms("llama-2-7b", 256, 0, 0, false), 20.3, 0.05);
  const auto added = [&](const char* name, int rows, int adapters, int rank, bool attention) {
    return 100.0 *
           (floor_ms(name, rows, adapters, rank, attention) / floor_ms(name, rows, 0, 0, false) -
            1.0);
  };
  EXPECT_NEAR(added("llama-3-8b", 64, 64, 16, true), 9.0, 0.06);
  EXPECT_NEAR(added("llama-3-8b", 64, 64, 16, false), 27.8, 0.06);
  EXPECT_NEAR(added("llama-3-8b", 64, 64, 64, false), 111, 0.6);
  EXPECT_NEAR(added("llama-2-7b", 64, 16, 16, false), 4.2, 0.06);
}

TEST(StepCostTest, APromptTakesWhatItComputes) {
  const engine::ModelConfig config = Model("llama-3-8b").config;
  StepCase c;
  c.sequences = {{2048, 2048, -1}};
  const StepCost cost = CostOf(config, c);
  const double linears = cost.linear_flops / kRates.flops_per_us;
  const double attention = cost.attention_flops / kRates.flops_per_us;
  EXPECT_NEAR(linears, 36.2e3, 0.1e3);
  // Each token sees those before it and itself.
  EXPECT_EQ(cost.attention_flops, 4.0 * 4096 * 32 * (2048.0 * 2049.0 / 2.0));
  EXPECT_NEAR(FloorUs(cost, kRates), linears + attention, 1e-6);
}

TEST(StepCasesTest, OfEachModelHaveNamesOfTheirOwnAndWhatTheirNamesSay) {
  for (const char* name : {"llama-2-7b", "llama-3-8b", "qwen2.5-7b", "tiny"}) {
    const StepModel model = Model(name);
    std::set<std::string> names;
    bool others = false;  // come after the targets
    for (const StepCase& c : StepCases(model)) {
      EXPECT_TRUE(names.insert(c.name).second) << c.name;
      EXPECT_FALSE(others && c.target) << c.name;
      others = others || !c.target;
      const auto used = c.used_adapters();
      for (const int32_t adapter : used) ASSERT_LT(adapter, c.ranks.size()) << c.name;
      EXPECT_TRUE(used.empty() || used.size() == c.ranks.size()) << c.name;
      EXPECT_TRUE(WithoutAdapters(c).ranks.empty());
      EXPECT_EQ(WithoutAdapters(c).rows(), c.rows());
    }
  }
  std::vector<std::string> names;
  for (const StepCase& c : StepCases(Model("llama-3-8b"))) names.push_back(c.name);
  EXPECT_THAT(names,
              testing::IsSupersetOf(
                  {"64 rows, 0 of 64 x r16 all", "64 rows, 1 x r16 all", "64 rows, 16 x r16 all",
                   "64 rows, 64 x r16 qkvo", "64 rows, 64 x r16 all", "1 rows, 1 x r16 all",
                   "256 rows, 8 x r16 qkvo", "64 rows, 16 x r8/16/64/256 all",
                   "prefill of 2048, 8 x r16 qkvo", "64 rows, one of 32768 tokens, 16 x r16 all"}));
  EXPECT_THAT(names, testing::Not(testing::Contains("16 rows, 64 x r16 all")));
}

TEST(StepCasesTest, LoraAloneIsTimedAtEveryRankAndNumberOfAdapters) {
  std::vector<std::string> names;
  for (const StepCase& c : LoraCases(Model("llama-3-8b"))) names.push_back(c.name);
  EXPECT_THAT(names, testing::ElementsAre("64 rows, 64 x r16 all", "64 rows, 64 x r16 qkvo",
                                          "64 rows, 1 x r16 all", "64 rows, 8 x r16 all",
                                          "64 rows, 16 x r16 all", "64 rows, 16 x r8 all",
                                          "64 rows, 16 x r64 all", "64 rows, 16 x r256 all",
                                          "64 rows, 16 x r8/16/64/256 all", "1 rows, 1 x r16 all",
                                          "prefill of 2048, 8 x r16 all"));
}

TEST(StepCasesTest, AnUnknownShapeIsNotFoundAndSaysWhichThereAre) {
  const absl::Status status = FindStepModel("llama-4").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("llama-3-8b, llama-2-7b"));
}

}  // namespace
}  // namespace chorus::bench
