// LoRA in the runner of devices on the simulator: what its lists have room for, and how it runs
// beside the base.
#include <algorithm>
#include <cmath>

#include "engine/model/device_runner.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/device_subject.h"

namespace chorus::test {
namespace {

using engine::StepPlan;
using kernels::DType;
using kernels::SimOrder;

TEST(DeviceLoraTest, RanksThatTheListsHaveNoRoomForAreRefused) {
  DeviceSubject subject("llama");
  std::vector<engine::SlotChange> contents;  // of slots 0 and 1
  const auto plan = [](ModelHost& host, std::span<const StepPart> parts) {
    auto planned = host.Plan(parts);
    EXPECT_TRUE(planned.ok()) << planned.status();
    return planned->plan;
  };
  {
    const auto host = subject.OnSim({.seed = 9}, DType::kBf16, 2);
    HostSequence any;
    const StepPart part[] = {{&any, {4}}};
    contents = plan(*host, part).slot_changes;
  }
  ASSERT_EQ(contents.size(), 2u);
  const int32_t one = engine::DeviceSlots::RankOf(contents[0].contents.get());
  const int32_t other = engine::DeviceSlots::RankOf(contents[1].contents.get());
  const int32_t most = std::max(one, other);
  const auto host = subject.OnSim(
      {.seed = 9}, DType::kBf16, 2,
      {.max_graph_rows = 0, .max_lora_rank = most, .max_rank_sum = most, .max_crossing_ranks = 0});
  const auto run = [&](const StepPlan& step) {
    const int32_t rows[] = {0};
    return DeviceBackend::Of(*host).RunForLogits(step, rows).status();
  };
  HostSequence first, second;
  first.slot = 0;
  second.slot = 1;
  const StepPart both[] = {{&first, {4, 5, 6}}, {&second, {7, 8}}};
  EXPECT_EQ(run(plan(*host, both)),
            absl::InvalidArgumentError(
                absl::StrCat("step plan: sum of the ranks of adapters: expected at most ", most,
                             ", got ", one + other)));
  // The larger one may be in two segments: it decodes, and it has a prompt.
  const int32_t slot = one >= other ? 0 : 1;
  HostSequence decode, prompt;
  decode.slot = prompt.slot = slot;
  const StepPart twice[] = {{&decode, {4}}, {&prompt, {9, 10, 11, 12, 13}}};
  StepPlan step = plan(*host, twice);
  step.slot_changes = contents;
  EXPECT_TRUE(run(step).ok());
  step.slot_changes = {};  // from here on the slots' own ranks count
  step.segments = {{slot, 0, 1}, {slot, 2, 1}, {slot, 4, 2}};
  EXPECT_EQ(run(step), absl::InvalidArgumentError(absl::StrCat(
                           "step plan: sum of the ranks of segments: expected at most ", 2 * most,
                           ", got ", 3 * most)));
  // What the step itself puts into a slot counts, and the last of it.
  step.segments = {{slot, 0, 2}};
  step.slot_changes = {{1 - slot, contents[static_cast<size_t>(slot)].contents}, {slot, nullptr}};
  step.segments.push_back({1 - slot, 2, 4});
  EXPECT_TRUE(run(step).ok());
  step.slot_changes = {{slot, nullptr}, {slot, contents[static_cast<size_t>(slot)].contents}};
  EXPECT_EQ(run(step).code(), absl::StatusCode::kInvalidArgument);
}

// Adapters of which each linear has one.
constexpr size_t kAdapters = 4;

// The base and every adapter: a step of their prompts, then each decodes alone.
absl::StatusOr<std::vector<ModelHost::Logits>> RunSteps(ModelHost& host) {
  std::mt19937 random(31);
  std::vector<HostSequence> sequences(1 + kAdapters);
  std::vector<StepPart> prompts;
  for (size_t i = 0; i < sequences.size(); ++i) {
    sequences[i].slot = static_cast<int32_t>(i) - 1;
    prompts.push_back({&sequences[i], RandomTokens(random, host, 3)});
  }
  auto logits = host.Step(prompts);
  for (HostSequence& sequence : sequences) {
    if (!logits.ok()) break;
    const StepPart part[] = {{&sequence, RandomTokens(random, host, 1)}};
    auto more = host.Step(part);
    if (!more.ok()) return more.status();
    logits->push_back(std::move(more->front()));
  }
  return logits;
}

// How LoRA runs: one kernel after the other, or both in clusters of so many blocks.
class DeviceLoraVariantTest : public testing::TestWithParam<int32_t> {};
INSTANTIATE_TEST_SUITE_P(Sim, DeviceLoraVariantTest, testing::Values(0, 4, 8),
                         testing::PrintToStringParamName());

TEST_P(DeviceLoraVariantTest, BesideTheBaseOrBeforeItTheBitsAreTheSame) {
  DeviceSubject subject("llama");
  kernels::SimOptions sim{.order = SimOrder::kRandom, .seed = 3};
  sim.info.multiprocessors = 5;  // room for a cluster of 8 and for the base
  std::vector<ModelHost::Logits> expected;
  const engine::DeviceLoraSharing ways[] = {{.beside_base = false},
                                            {.beside_base = true},
                                            {.beside_base = true, .multiprocessors = 1},
                                            {.beside_base = true, .max_blocks = 2},
                                            {.beside_base = false, .begin_early = true},
                                            {.beside_base = true, .begin_early = true}};
  for (engine::DeviceLoraSharing way : ways) {
    way.cluster_blocks = GetParam();
    if (way.multiprocessors > 0) way.multiprocessors = std::max(1, GetParam() / 2);
    if (way.max_blocks > 0) way.max_blocks = std::max(way.max_blocks, GetParam());
    for (const int32_t graph_rows : {0, 1}) {
      const auto host =
          subject.OnSim(sim, DType::kBf16, kAdapters, {.max_graph_rows = graph_rows, .lora = way});
      const auto logits = RunSteps(*host);
      ASSERT_TRUE(logits.ok()) << logits.status();
      if (expected.empty()) expected = *logits;
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(DifferentBits((*logits)[i], expected[i]), 0u)
            << way.beside_base << " " << way.multiprocessors << " " << way.max_blocks << " "
            << way.begin_early << " " << graph_rows << ", request " << i;
      }
    }
  }
}

// Root mean square of the differences, of that of the logits: four sites' deltas in each of three
// layers, none larger than what it is added to, each rounded by up to u / √3 of itself as if
// independent, and four times that for what softmax and norms make of them.
TEST(DeviceLoraTest, ADeltaIn16BitsIsRoundedOnce) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    DeviceSubject subject("llama");
    std::vector<ModelHost::Logits> of[2];
    for (const bool narrow : {false, true}) {
      const auto host =
          subject.OnSim({.seed = 4}, dtype, kAdapters,
                        {.max_graph_rows = 1, .lora = {.wide_delta_rows = narrow ? 0 : 1 << 16}});
      const auto logits = RunSteps(*host);
      ASSERT_TRUE(logits.ok()) << logits.status();
      of[narrow] = *logits;
    }
    const double unit = dtype == DType::kBf16 ? 0x1p-9 : 0x1p-12;
    const double tolerance = 4.0 * std::sqrt(3.0 * 4.0 / 3.0) * unit;
    for (size_t i = 0; i < of[0].size(); ++i) {
      const bool is_base = i % (1 + kAdapters) == 0;  // first among the prompts, and the decodes
      double errors = 0.0;
      double squares = 0.0;
      for (size_t row = 0; row < of[0][i].size(); ++row) {
        for (size_t c = 0; c < of[0][i][row].size(); ++c) {
          errors += std::pow(double{of[0][i][row][c]} - of[1][i][row][c], 2);
          squares += std::pow(double{of[0][i][row][c]}, 2);
        }
      }
      EXPECT_EQ(errors == 0.0, is_base) << "request " << i;
      EXPECT_LE(std::sqrt(errors / squares), tolerance) << "request " << i;
    }
  }
}

TEST(DeviceLoraTest, ClustersThatTheDeviceCannotHaveAreRefused) {
  DeviceSubject subject("llama");
  const auto refused = [&](const kernels::SimOptions& sim, const engine::DeviceLoraSharing& lora) {
    const auto host = subject.TryOnSim(sim, DType::kBf16, 1, {.max_graph_rows = 0, .lora = lora});
    EXPECT_EQ(host.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(host.status().message());
  };
  EXPECT_EQ(refused({.seed = 9}, {.cluster_blocks = 2}),
            "runner: blocks of a LoRA cluster: expected 0, 4 or 8, got 2");
  kernels::SimOptions older{.seed = 9};
  older.info.compute_capability = 80;
  EXPECT_EQ(refused(older, {.cluster_blocks = 8}),
            "runner: LoRA in clusters takes compute capability 9.0, simulator has 8.0");
  EXPECT_EQ(refused({.seed = 9}, {.multiprocessors = 3, .cluster_blocks = 8}),
            "runner: multiprocessors of LoRA: expected room for a cluster of 8 blocks, got it for "
            "6 blocks");
  kernels::SimOptions small{.seed = 9};
  small.info.multiprocessors = 1;
  const auto host = subject.TryOnSim(small, DType::kBf16, 1,
                                     {.max_graph_rows = 0, .lora = {.cluster_blocks = 4}});
  EXPECT_EQ(host.status().code(), absl::StatusCode::kFailedPrecondition) << host.status();
}

// The multiprocessors for which each product was planned.
class WatchedOps : public SimLibraryOps {
 public:
  WatchedOps(kernels::SimDevice* device, std::vector<int32_t>* multiprocessors)
      : SimLibraryOps(device), multiprocessors_(*multiprocessors) {}
  absl::Status Linear(int32_t number, const kernels::DeviceLinearArgs& args,
                      kernels::DeviceStream* stream) override {
    multiprocessors_.push_back(shape(number).multiprocessors);
    return SimLibraryOps::Linear(number, args, stream);
  }

 private:
  std::vector<int32_t>& multiprocessors_;
};

TEST(DeviceLoraTest, ProductsArePlannedForWhatLoraLeaves) {
  DeviceSubject subject("llama");
  std::vector<int32_t> seen;
  const MakeDevice make = [&]() -> absl::StatusOr<DeviceSetup> {
    auto device = std::make_unique<kernels::SimDevice>(kernels::SimOptions{});
    kernels::SimDevice* const sim = device.get();
    return DeviceSetup{.device = std::move(device),
                       .ops = std::make_unique<WatchedOps>(sim, &seen),
                       .finish = [sim] { return sim->Finish(); }};
  };
  const auto host =
      subject.On(make, DType::kBf16, 1, {.max_graph_rows = 0, .lora = {.multiprocessors = 1}});
  ASSERT_TRUE(host.ok()) << host.status();
  for (const int32_t slot : {-1, 0}) {
    seen.clear();
    HostSequence sequence;
    sequence.slot = slot;
    const StepPart part[] = {{&sequence, {4, 5}}};
    ASSERT_TRUE((*host)->Step(part).ok());
    std::vector<int32_t> expected(3 * 4, slot < 0 ? 0 : 4 - 1);  // of three layers
    expected.push_back(0);                                       // the lm_head
    EXPECT_EQ(seen, expected) << "slot " << slot;
  }
  for (const engine::DeviceLoraSharing& wrong :
       {engine::DeviceLoraSharing{.multiprocessors = 4},
        engine::DeviceLoraSharing{.multiprocessors = -1},
        engine::DeviceLoraSharing{.beside_base = false, .multiprocessors = 1}}) {
    EXPECT_EQ(
        subject.On(make, DType::kBf16, 0, {.max_graph_rows = 0, .lora = wrong}).status().code(),
        absl::StatusCode::kInvalidArgument);
  }
}

// Three layers' waits in a step with LoRA: that of the plan, and of each linear the fork and the
// join.
constexpr int64_t kStepWaits = 1 + 2 * 3 * 4;

class LostWaitTest : public testing::Test {
 protected:
  // What comes of it when the simulator loses one wait: of the start, or of a step.
  absl::Status Run(int32_t graph_rows, int64_t lost_wait) {
    const auto host = subject_.TryOnSim({.order = SimOrder::kTimed, .lost_wait = lost_wait},
                                        DType::kBf16, kAdapters, {.max_graph_rows = graph_rows});
    if (!host.ok()) return host.status();
    const absl::Status status = RunSteps(**host).status();
    waits_ = static_cast<kernels::SimDevice&>(DeviceBackend::Of(**host).device()).num_waits();
    return status;
  }

  DeviceSubject subject_{"llama"};
  int64_t waits_ = 0;
};

// A wait that is left out is found though the order is the one in which the numbers come out right.
TEST_F(LostWaitTest, EveryForkAndJoinOfAStepIsNeeded) {
  ASSERT_TRUE(Run(0, -1).ok());
  EXPECT_EQ(waits_, (1 + kAdapters) * kStepWaits);  // the base alone has no LoRA
  for (int64_t lost = 0; lost < kStepWaits; ++lost) {
    EXPECT_THAT(std::string(Run(0, lost).message()), testing::HasSubstr("no event orders it"))
        << "wait " << lost;
  }
}

TEST_F(LostWaitTest, EveryForkAndJoinOfACaptureIsNeeded) {
  ASSERT_TRUE(Run(1, -1).ok());
  EXPECT_EQ(waits_, 3 * kStepWaits);  // before the capture, in it, of the prompts
  for (int64_t lost = kStepWaits; lost < 2 * kStepWaits; ++lost) {
    EXPECT_FALSE(Run(1, lost).ok()) << "wait " << lost;
  }
}

}  // namespace
}  // namespace chorus::test
