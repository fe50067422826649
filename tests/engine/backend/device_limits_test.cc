// What a device's runner is made for, given what the scheduler may plan. That the scheduler keeps
// to what is less than its worst is tested in tests/engine/schedule.
#include "engine/backend/device_limits.h"

#include "engine/adapters/adapter_image.h"
#include "engine/model/step_block.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::test {
namespace {

using engine::DeviceRunnerOptions;
using engine::DeviceRunnerOptionsFor;
using engine::EngineOptions;
using engine::ModelConfig;

ModelConfig Model() {
  ModelConfig config;
  config.layers = 3;
  config.hidden = 96;
  config.heads = 6;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.intermediate = 200;
  config.vocabulary = 1000;
  config.max_positions = 4096;
  return config;
}

TEST(DeviceLimitsTest, TheLargestAdapterIsAsLargeAsItsImage) {
  const ModelConfig config = Model();
  for (const int32_t rank : {1, 9, 64, 256}) {
    engine::AdapterSpec spec;
    for (int32_t layer = 0; layer < config.layers; ++layer) {
      for (int m = 0; m < kernels::kNumLoraModules; ++m) {
        engine::AdapterModule module;
        module.layer = layer;
        module.module = static_cast<kernels::LoraModule>(m);
        module.rank = rank;
        module.bias.emplace();
        spec.modules.push_back(module);
      }
    }
    const kernels::PoolView page{.num_slabs = config.layers,
                                 .kv_heads = config.kv_heads,
                                 .head_dim = config.head_dim,
                                 .dtype = kernels::DType::kBf16};
    EXPECT_EQ(engine::MaxAdapterPages(config, rank),
              engine::ImageLayout::Make(spec, {config, {}, page}).num_ids)
        << "rank " << rank;
  }
}

TEST(DeviceLimitsTest, TheRunnerTakesWhatTheEngineMayAskFor) {
  EngineOptions engine;
  engine.max_running = 48;
  engine.max_step_tokens = 300;
  engine.max_step_adapters = 20;
  engine.max_step_rank_sum = 777;
  const auto options = DeviceRunnerOptionsFor(engine, Model(), 900);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->max_rows, 300);
  EXPECT_EQ(options->max_graph_rows, 48);
  EXPECT_EQ(options->max_segments, 40 + 64);
  EXPECT_EQ(options->max_rank_sum, 777);
  EXPECT_EQ(options->max_page_copies, 48);
  EXPECT_EQ(options->max_page_ids, 48 * 256);
  EXPECT_EQ(options->valid_vocabulary, 900);
  const engine::RunnerLimits limits = engine::LimitsOf(*options);
  EXPECT_EQ(limits.max_step_pages, 48 * 256);
  EXPECT_GE(limits.max_step_penalties, 900);
  EXPECT_EQ(limits.max_step_penalties, options->max_penalties);
  EXPECT_EQ(limits.max_step_biases, options->max_biases);
  EXPECT_EQ(limits.max_adapters, options->max_slots);
  EXPECT_GT(limits.max_adapters, engine.max_running + engine.max_loads);
  EXPECT_EQ(limits.max_adapter_pages, engine::MaxAdapterPages(Model(), 256));
  EXPECT_EQ(limits.max_adapter_rank, 256);
  EXPECT_EQ(limits.max_step_crossing_ranks, 64 * 8);
  // One sequence has one adapter.
  engine.max_step_adapters = 4096;
  EXPECT_EQ(DeviceRunnerOptionsFor(engine, Model(), 900)->max_segments, 96 + 64);
}

TEST(DeviceLimitsTest, TheWorstStepOfAllIsBoundedByMemory) {
  EngineOptions engine;
  engine.max_running = 4096;
  engine.max_step_tokens = 4096;
  ModelConfig config = Model();
  config.max_positions = 1 << 20;
  config.vocabulary = 1 << 18;
  const auto options = DeviceRunnerOptionsFor(engine, config, config.vocabulary);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_GE(options->max_page_ids, config.max_positions / kernels::kPageTokens);
  EXPECT_GE(options->max_penalties, config.vocabulary);
  const engine::StepBlock block =
      engine::StepBlock::Make({.max_rows = options->max_rows,
                               .max_segments = options->max_segments,
                               .max_page_copies = options->max_page_copies,
                               .max_samples = options->max_rows,
                               .max_page_ids = options->max_page_ids,
                               .max_penalties = options->max_penalties,
                               .max_biases = options->max_biases});
  EXPECT_LE(block.bytes, 16 << 20);
}

TEST(DeviceLimitsTest, WhatTheKernelsCannotDoIsRefusedByName) {
  EngineOptions engine;
  engine.max_running = engine.max_step_tokens = 2000;
  engine.max_step_adapters = 993;
  EXPECT_EQ(DeviceRunnerOptionsFor(engine, Model(), 900).status().message(),
            "max_step_adapters: expected at most 992 on a device, got 993");
}

}  // namespace
}  // namespace chorus::test
