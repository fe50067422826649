// The runner of devices on the simulator: tokens, slots, pages, and plans that are refused.
#include <algorithm>
#include <functional>
#include <numeric>
#include <random>

#include "engine/model/device_runner.h"
#include "gtest/gtest.h"
#include "kernels/sampling/sample.h"
#include "tests/simt/device_subject.h"

namespace chorus::test {
namespace {

using engine::StepPlan;
using kernels::DType;
using kernels::SimOrder;

// Whatever sampling may ask, over more rows and samples than are drawn at once.
std::vector<kernels::SamplingParams> RandomSampling(std::mt19937& random, size_t count) {
  const auto between = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  std::vector<kernels::SamplingParams> all(count);
  for (kernels::SamplingParams& params : all) {
    params.temperature = between(0, 2) == 0 ? 0.0f : 0.5f * static_cast<float>(between(1, 3));
    params.top_k = between(0, 1) == 0 ? 0 : between(1, 40);
    params.top_p = between(0, 1) == 0 ? 1.0f : 0.9f;
    params.repetition_penalty = between(0, 2) == 0 ? 1.2f : 1.0f;
    params.presence_penalty = between(0, 3) == 0 ? 0.5f : 0.0f;
    params.seed = static_cast<uint64_t>(between(0, 1'000'000));
    params.num_logprobs = between(-1, 5);
    if (between(0, 3) == 0) params.logit_bias = {{between(3, 90), 4.0f}};
  }
  return all;
}

// The plan's samples: each row twice, in no order.
void AddSamples(std::mt19937& random, const std::vector<kernels::SamplingParams>& params,
                StepPlan* plan) {
  for (size_t i = 0; i < params.size(); ++i) {
    engine::PlannedSample sample;
    sample.row = static_cast<int32_t>(i / 2 % static_cast<size_t>(plan->num_rows()));
    sample.params = &params[i];
    sample.prompt = {5, 6, 7, 5};
    sample.output = {8, 9, 9};
    sample.choice = static_cast<int32_t>(i % 2);
    sample.position = 100 + static_cast<int64_t>(i);
    plan->samples.push_back(std::move(sample));
  }
  std::shuffle(plan->samples.begin(), plan->samples.end(), random);
}

TEST(DeviceRunnerTest, DrawsWhatTheCpuDrawsFromTheSameLogits) {
  DeviceSubject subject("llama_minimal");
  const auto host =
      subject.OnSim({.seed = 5}, DType::kBf16, 2, {.max_graph_rows = 0, .valid_vocabulary = 90});
  DeviceBackend& backend = DeviceBackend::Of(*host);
  const uint32_t seed = 7;
  std::mt19937 random(seed);
  std::vector<HostSequence> sequences(3);
  sequences[1].slot = 0;
  sequences[2].slot = 1;
  std::vector<StepPart> parts;
  for (HostSequence& sequence : sequences) {
    parts.push_back({&sequence, RandomTokens(random, *host, 25)});
  }
  auto planned = host->Plan(parts);
  ASSERT_TRUE(planned.ok()) << planned.status();
  StepPlan& plan = planned->plan;
  const std::vector<kernels::SamplingParams> params = RandomSampling(random, 180);
  AddSamples(random, params, &plan);
  const auto drawn = backend.runner().Run(plan);
  ASSERT_TRUE(drawn.ok()) << drawn.status();

  std::vector<int32_t> rows(static_cast<size_t>(plan.num_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  auto logits = backend.RunForLogits(plan, rows);
  ASSERT_TRUE(logits.ok()) << logits.status();
  std::vector<kernels::SampleRow> sample_rows;
  for (const engine::PlannedSample& sample : plan.samples) {
    sample_rows.push_back(
        {sample.row, sample.params, sample.prompt, sample.output, sample.choice, sample.position});
  }
  std::vector<kernels::SampledToken> want(sample_rows.size());
  kernels::ComputePool pool(1);
  ASSERT_TRUE(kernels::Sample({.logits = kernels::TensorView::Of(logits->data(), plan.num_rows(),
                                                                 host->config().vocabulary),
                               .valid_vocabulary = 90,
                               .rows = sample_rows,
                               .tokens = want},
                              kernels::Stream::Cpu(&pool))
                  .ok());
  ASSERT_EQ(drawn->tokens.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const kernels::SampledToken& got = drawn->tokens[i];
    EXPECT_EQ(got.token, want[i].token) << "sample " << i;
    EXPECT_EQ(got.logprob, want[i].logprob) << "sample " << i;
    ASSERT_EQ(got.top.size(), want[i].top.size()) << "sample " << i;
    for (size_t t = 0; t < got.top.size(); ++t) {
      EXPECT_EQ(got.top[t].token, want[i].top[t].token) << "sample " << i;
      EXPECT_EQ(got.top[t].logprob, want[i].top[t].logprob) << "sample " << i;
    }
  }
}

TEST(DeviceRunnerTest, TellsHowLongTheDeviceTookForAStepWhateverTheHostDid) {
  DeviceSubject subject("llama_minimal");
  constexpr double kLaunchUs = 7;
  const auto host =
      subject.OnSim({.order = SimOrder::kTimed, .launch_us = kLaunchUs, .copy_us = 0.5},
                    DType::kBf16, 0, {.max_graph_rows = 0, .time_steps = true});
  DeviceBackend& backend = DeviceBackend::Of(*host);
  auto& sim = static_cast<kernels::SimDevice&>(backend.device());
  double last_us = 0;
  for (const double host_us : {0.0, 1e6}) {
    HostSequence sequence;
    const StepPart part[] = {{&sequence, {10, 11, 12}}};
    const auto planned = host->Plan(part);
    ASSERT_TRUE(planned.ok()) << planned.status();
    sim.AdvanceHost(host_us);
    const int64_t before = sim.counters().launches;
    ASSERT_TRUE(backend.runner().Run(planned->plan).ok());
    const auto launches = static_cast<double>(sim.counters().launches - before);
    const auto us = backend.device_runner().last_step_us();
    ASSERT_TRUE(us.ok()) << us.status();
    // A product and attention are work of the simulator's own duration.
    EXPECT_GT(*us, 0.5 * launches * kLaunchUs);
    EXPECT_LT(*us, 2.0 * launches * kLaunchUs);
    if (last_us > 0) {
      EXPECT_NEAR(*us, last_us, 1.0);
    }
    last_us = *us;
  }
}

TEST(DeviceRunnerTest, GreedyTokensAreTheCpuRunnersWhereTheGapAllows) {
  constexpr float kGap = 0.2f;  // two logits off by the goldens' tolerance
  DeviceSubject subject("llama");
  const auto cpu = subject.OnCpu();
  const auto sim =
      subject.OnSim({.order = SimOrder::kTimed}, DType::kBf16, 4, {.max_graph_rows = 8});
  std::mt19937 random(11);
  std::vector<HostSequence> on_cpu(6), on_sim(6);
  std::vector<std::vector<int32_t>> next(6);
  for (size_t i = 0; i < next.size(); ++i) {
    on_cpu[i].slot = on_sim[i].slot = static_cast<int32_t>(i % 5) - 1;
    next[i] = RandomTokens(random, *cpu, 3 + 7 * static_cast<int>(i));
  }
  const kernels::SamplingParams greedy{.temperature = 0.0f, .num_logprobs = 2};
  const auto run = [&](ModelHost& host, std::vector<HostSequence>& sequences) {
    std::vector<StepPart> parts;
    for (size_t i = 0; i < next.size(); ++i) parts.push_back({&sequences[i], next[i]});
    auto planned = host.Plan(parts);
    EXPECT_TRUE(planned.ok()) << planned.status();
    for (size_t i = 0; i < next.size(); ++i) {
      engine::PlannedSample sample;
      sample.row = planned->rows[i].back();
      sample.params = &greedy;
      planned->plan.samples.push_back(sample);
    }
    auto result = host.backend().runner().Run(planned->plan);
    EXPECT_TRUE(result.ok()) << result.status();
    return *std::move(result);
  };
  int compared = 0;
  for (int step = 0; step < 8; ++step) {
    const engine::StepResult want = run(*cpu, on_cpu);
    const engine::StepResult got = run(*sim, on_sim);
    for (size_t i = 0; i < next.size(); ++i) {
      const auto& top = want.tokens[i].top;
      if (top[0].logprob - top[1].logprob > kGap) {
        EXPECT_EQ(got.tokens[i].token, want.tokens[i].token)
            << "request " << i << ", step " << step;
        ++compared;
      }
      next[i] = {want.tokens[i].token};
    }
  }
  EXPECT_GE(compared, 20);
}

// Logits of one token appended to a sequence of `slot`, by a plan that may be changed before.
class SlotTest : public testing::Test {
 protected:
  SlotTest() : subject_("llama"), host_(subject_.OnSim({.seed = 9}, DType::kBf16, 2)) {
    const StepPart part[] = {{&first_, {4, 5, 6}}};
    auto planned = host_->Plan(part);
    EXPECT_TRUE(planned.ok());
    for (const engine::SlotChange& change : planned->plan.slot_changes) {
      contents_.push_back(change.contents);
    }
    EXPECT_TRUE(Run(planned->plan).ok());
  }

  absl::StatusOr<std::vector<float>> Run(const StepPlan& plan) {
    const int32_t last[] = {static_cast<int32_t>(plan.num_rows()) - 1};
    return DeviceBackend::Of(*host_).RunForLogits(plan, last);
  }

  // The last row's logits of a new sequence, after these changes.
  std::vector<float> LogitsOf(int32_t slot, std::vector<engine::SlotChange> changes) {
    HostSequence sequence;
    sequence.slot = slot;
    const StepPart part[] = {{&sequence, {10, 11, 12, 13, 14}}};
    auto planned = host_->Plan(part);
    EXPECT_TRUE(planned.ok());
    planned->plan.slot_changes = std::move(changes);
    auto logits = Run(planned->plan);
    EXPECT_TRUE(logits.ok()) << logits.status();
    return *std::move(logits);
  }

  DeviceSubject subject_;
  const std::unique_ptr<ModelHost> host_;
  HostSequence first_;
  std::vector<std::shared_ptr<const kernels::LoraSlot>> contents_;  // of slots 0 and 1
};

TEST_F(SlotTest, ASlotHoldsWhatItWasGivenLast) {
  ASSERT_EQ(contents_.size(), 2u);
  const std::vector<float> base = LogitsOf(-1, {});
  const std::vector<float> one = LogitsOf(0, {});
  const std::vector<float> other = LogitsOf(1, {});
  EXPECT_GT(DifferentBits(base, one), 100u);
  EXPECT_GT(DifferentBits(one, other), 100u);
  EXPECT_EQ(DifferentBits(LogitsOf(0, {{0, contents_[1]}}), other), 0u);
  EXPECT_EQ(DifferentBits(LogitsOf(7, {{7, contents_[0]}, {0, nullptr}}), one), 0u);
  EXPECT_EQ(DifferentBits(LogitsOf(0, {}), base), 0u);
  // More changes than are copied at once; the last one counts.
  std::vector<engine::SlotChange> many;
  for (int32_t i = 0; i < 40; ++i) many.push_back({i % 3, contents_[static_cast<size_t>(i % 2)]});
  EXPECT_EQ(DifferentBits(LogitsOf(0, many), other), 0u);  // the 39th
  EXPECT_EQ(DifferentBits(LogitsOf(2, {}), one), 0u);      // the 38th
}

TEST_F(SlotTest, ACopiedPageAndASharedOneGoOnAsTheirOriginal) {
  HostSequence original;
  std::mt19937 random(13);
  const StepPart prompt[] = {{&original, RandomTokens(random, *host_, 20)}};
  ASSERT_TRUE(host_->Step(prompt).ok());
  HostSequence fork;
  fork.tokens = original.tokens;  // two pages of its own, with nothing in them yet
  const StepPart part[] = {{&fork, {33}}};
  auto planned = host_->Plan(part);
  ASSERT_TRUE(planned.ok());
  planned->plan.page_ids = {original.pages[0], fork.pages[1]};
  planned->plan.page_copies = {{original.pages[1], fork.pages[1]}};
  const auto forked = Run(planned->plan);
  ASSERT_TRUE(forked.ok()) << forked.status();
  const StepPart same[] = {{&original, {33}}};
  const auto logits = host_->Step(same);
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_EQ(DifferentBits(*forked, (*logits)[0][0]), 0u);
}

TEST_F(SlotTest, AnAdapterMayJoinInTheMiddleOfAPrompt) {
  DeviceBackend::Of(*host_).set_least_shape({.rows = 64, .chunk_rows = 64, .lora = true});
  std::mt19937 random(17);
  const std::vector<int32_t> tokens = RandomTokens(random, *host_, 20);
  HostSequence in_two;
  const StepPart first[] = {{&in_two, {tokens.begin(), tokens.begin() + 9}}};
  ASSERT_TRUE(host_->Step(first).ok());
  in_two.slot = 0;
  const StepPart second[] = {{&in_two, {tokens.begin() + 9, tokens.end()}}};
  const auto want = host_->Step(second);
  ASSERT_TRUE(want.ok()) << want.status();

  HostSequence in_one;
  const StepPart all[] = {{&in_one, tokens}};
  auto planned = host_->Plan(all);
  ASSERT_TRUE(planned.ok());
  planned->plan.segments = {{0, 9, 11}};
  const auto got = Run(planned->plan);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(DifferentBits(*got, (*want)[0].back()), 0u);
}

TEST_F(SlotTest, PlansThatAreNotWellFormedAreRefusedAndHarmNothing) {
  const auto refused = [&](const std::function<void(StepPlan&)>& change) {
    HostSequence sequence;
    const StepPart part[] = {{&sequence, {10, 11, 12}}};
    auto planned = host_->Plan(part);
    EXPECT_TRUE(planned.ok());
    change(planned->plan);
    const absl::Status status = Run(planned->plan).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(refused([](StepPlan& p) { p.tokens[1] = 320; }),
            "step plan: token: expected 0 to 319, got 320");
  EXPECT_EQ(refused([](StepPlan& p) { p.row_pages[2] = 512; }),
            "step plan: page: expected 0 to 511, got 512");
  EXPECT_EQ(refused([](StepPlan& p) { p.page_ids[0] = -1; }),
            "step plan: page: expected 0 to 511, got -1");
  EXPECT_EQ(refused([](StepPlan& p) {
              p.page_copies = {{3, 600}};
            }),
            "step plan: copied page: expected 0 to 511, got 600");
  EXPECT_EQ(refused([](StepPlan& p) {
              p.segments = {{1024, 0, 3}};
            }),
            "step plan: slot: expected 0 to 1023, got 1024");
  EXPECT_EQ(refused([](StepPlan& p) {
              p.segments = {{0, 1, 3}};
            }),
            "step plan: segment of slot 0 has 3 rows from 1 of 3");
  EXPECT_EQ(refused([](StepPlan& p) {
              p.positions = {0, 2, 3};
            }),
            "step plan: row 1 is at position 2 after 0");
  EXPECT_EQ(refused([](StepPlan& p) {
              p.positions = {30, 31, 32};
            }),
            "step plan: sequence 0 has 1 pages, want 3");
  EXPECT_EQ(refused([](StepPlan& p) {
              p.sequence_rows = {0, 1, 1};
            }),
            "step plan: row 1 of 3 is not one sequence's");
  auto wide = std::make_shared<kernels::LoraSlot>(*contents_[0]);
  wide->modules[3].rank = 257;
  EXPECT_EQ(refused([&](StepPlan& p) {
              p.slot_changes = {{4, wide}};
            }),
            "slot 4: rank: expected at most 256, got 257");
  EXPECT_EQ(LogitsOf(-1, {}).size(), 320u);
}

}  // namespace
}  // namespace chorus::test
