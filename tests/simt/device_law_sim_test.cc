// The law of the mixed batch on the simulator: in a step of one shape, a request alone and inside
// any mix gets logits of the same bits.
#include <random>

#include "gtest/gtest.h"
#include "tests/simt/device_subject.h"

namespace chorus::test {
namespace {

using engine::StepShape;
using kernels::DType;
using kernels::SimOptions;
using kernels::SimOrder;

struct LawParam {
  const char* model;
  DType dtype;
  SimOptions sim;
};

class DeviceLawTest : public testing::TestWithParam<LawParam> {};

constexpr int kMixedSteps = 3;

// Requests of one mix, and what each adds in each step (none: it waits or has ended).
struct Mix {
  std::vector<int32_t> slots;
  std::vector<std::vector<std::vector<int32_t>>> steps;  // [step][request]
};

Mix RandomMix(std::mt19937& random, const ModelHost& host) {
  Mix mix{.slots = {-1, 0, 1, 2, 3, 1, -1, 0}};
  const auto between = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (int step = 0; step < kMixedSteps + 4; ++step) {
    mix.steps.emplace_back();
    for (size_t r = 0; r < mix.slots.size(); ++r) {
      // The first one's keys fill several chunks; the last steps only decode, for some.
      const int count = step == 0 && r == 0   ? 200
                        : step == 0           ? between(0, 30)
                        : step >= kMixedSteps ? between(0, 4) > 0
                        : between(0, 2) > 0   ? 1
                                              : between(0, 40);
      mix.steps.back().push_back(RandomTokens(random, host, count));
    }
  }
  return mix;
}

TEST_P(DeviceLawTest, AloneInTheSameShapeAsInTheMix) {
  DeviceSubject subject(GetParam().model);
  const auto host = subject.OnSim(GetParam().sim, GetParam().dtype, 4, {.max_graph_rows = 8});
  SimBackend& backend = SimBackend::Of(*host);
  const uint32_t seed = 20261126;
  std::mt19937 random(seed);
  const Mix mix = RandomMix(random, *host);
  std::vector<HostSequence> together(mix.slots.size());
  for (size_t r = 0; r < together.size(); ++r) together[r].slot = mix.slots[r];
  std::vector<StepShape> shapes;
  std::vector<std::vector<ModelHost::Logits>> expected(mix.slots.size());  // [request][step]
  for (const auto& step : mix.steps) {
    std::vector<StepPart> parts;
    for (size_t r = 0; r < step.size(); ++r) {
      if (!step[r].empty()) parts.push_back({&together[r], step[r]});
    }
    auto logits = host->Step(parts);
    ASSERT_TRUE(logits.ok()) << logits.status();
    shapes.push_back(backend.device_runner().last_shape());
    auto next = logits->begin();
    for (size_t r = 0; r < step.size(); ++r) {
      expected[r].push_back(step[r].empty() ? ModelHost::Logits{} : *next++);
    }
  }
  EXPECT_EQ(backend.device().counters().graph_replays, 4);
  size_t rows = 0;
  for (size_t r = 0; r < together.size(); ++r) {
    HostSequence alone;
    alone.slot = mix.slots[r];
    for (size_t s = 0; s < mix.steps.size(); ++s) {
      if (mix.steps[s][r].empty()) continue;
      backend.set_least_shape(shapes[s]);
      const StepPart part[] = {{&alone, mix.steps[s][r]}};
      const auto logits = host->Step(part);
      ASSERT_TRUE(logits.ok()) << logits.status();
      EXPECT_EQ(backend.device_runner().last_shape().rows, shapes[s].rows);
      EXPECT_EQ(DifferentBits((*logits)[0], expected[r][s]), 0u)
          << "seed " << seed << ", request " << r << ", step " << s;
      rows += (*logits)[0].size();
    }
  }
  EXPECT_GT(rows, 250u);
}

TEST(DeviceGraphTest, ReplaysGiveWhatLaunchesGive) {
  DeviceSubject subject("llama_biased");
  std::vector<std::vector<ModelHost::Logits>> logits[2];
  for (const bool graphs : {false, true}) {
    const auto host =
        subject.OnSim({.seed = 21}, DType::kBf16, 3, {.max_graph_rows = graphs ? 4 : 0});
    std::mt19937 random(22);
    std::vector<HostSequence> sequences(4);
    for (size_t i = 0; i < sequences.size(); ++i) {
      sequences[i].slot = static_cast<int32_t>(i) - 1;
    }
    // The base alone takes the graphs without LoRA.
    for (const size_t count : {4u, 3u, 1u, 4u, 2u, 1u}) {
      std::vector<StepPart> parts;
      for (size_t i = 0; i < count; ++i) {
        parts.push_back({&sequences[i], RandomTokens(random, *host, 1)});
      }
      auto step = host->Step(parts);
      ASSERT_TRUE(step.ok()) << step.status();
      logits[graphs].push_back(*std::move(step));
    }
    EXPECT_EQ(SimBackend::Of(*host).device().counters().graph_replays, graphs ? 6 : 0);
  }
  ASSERT_EQ(logits[0].size(), logits[1].size());
  for (size_t s = 0; s < logits[0].size(); ++s) {
    for (size_t i = 0; i < logits[0][s].size(); ++i) {
      EXPECT_EQ(DifferentBits(logits[0][s][i], logits[1][s][i]), 0u) << "step " << s;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sim, DeviceLawTest,
    testing::Values(LawParam{"llama", DType::kBf16, {.order = SimOrder::kRandom, .seed = 3}},
                    LawParam{"qwen3", DType::kF16, {.order = SimOrder::kLazy}}),
    [](const auto& info) { return std::string(info.param.model); });

}  // namespace
}  // namespace chorus::test
