// What holds for the runner of devices on any of them: the law of the mixed batch within one shape,
// replays that give what launches give, and logits near the CPU's. Models of heads of 64 with
// random weights, adapters of several ranks.
#include "tests/support/runner_contract.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "gtest/gtest.h"
#include "tests/support/host_pages_trip.h"
#include "tests/support/linears_adapter.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

using engine::StepShape;

constexpr std::array<int, 4> kRanks = {1, 8, 24, 256};  // of slots 0 …
constexpr int kMixedSteps = 3;
// Steps of decodes keep their delta in f32, those with prompts are longer.
constexpr int32_t kWideDeltaRows = 16;

class RunnerContractTest : public testing::TestWithParam<RunnerDevice> {
 protected:
  void SetUp() override {
    TinyModel::Make(GetParam().architecture, {{"head_dim", 64},
                                              {"hidden_size", 64},
                                              {"intermediate_size", 96},
                                              {"max_position_embeddings", 512}})
        .Write(dir_.path());
  }

  // With its adapters. Null: the test is skipped or has failed.
  std::unique_ptr<ModelHost> Open(int32_t max_graph_rows) {
    engine::DeviceLoraSharing lora = GetParam().lora;
    lora.wide_delta_rows = kWideDeltaRows;
    auto host = DeviceBackend::Open(
        dir_.path(), {.dtype = GetParam().dtype, .num_pages = 1024}, GetParam().open,
        {.max_graph_rows = max_graph_rows, .lora = lora, .host_page_bytes = int64_t{1} << 20});
    if (host.status().code() == absl::StatusCode::kNotFound) {
      [&] { GTEST_SKIP() << host.status().message(); }();
      return nullptr;
    }
    return Loaded(std::move(host));
  }
  std::unique_ptr<ModelHost> OpenCpu() {
    return Loaded(ModelHost::Open(dir_.path(), {.num_pages = 1024}));
  }

 private:
  static std::unique_ptr<ModelHost> Loaded(absl::StatusOr<std::unique_ptr<ModelHost>> host) {
    if (!host.ok()) {
      ADD_FAILURE() << host.status();
      return nullptr;
    }
    for (size_t i = 0; i < kRanks.size(); ++i) {
      const auto adapter =
          LinearsAdapter((*host)->config(), (*host)->pool_view(), kRanks[i], 100 + i);
      const auto slot = adapter.ok() ? (*host)->Load(*adapter) : adapter.status();
      EXPECT_TRUE(slot.ok()) << slot.status();
    }
    return *std::move(host);
  }

  TempDir dir_;
};

std::vector<int32_t> RandomTokens(std::mt19937& random, const ModelHost& host, int count) {
  std::vector<int32_t> tokens;
  std::uniform_int_distribution<int32_t> draw(3, host.config().vocabulary - 1);
  for (int i = 0; i < count; ++i) tokens.push_back(draw(random));
  return tokens;
}

size_t DifferentBits(const ModelHost::Logits& a, const ModelHost::Logits& b) {
  EXPECT_EQ(a.size(), b.size());
  size_t count = 0;
  for (size_t row = 0; row < std::min(a.size(), b.size()); ++row) {
    EXPECT_EQ(a[row].size(), b[row].size());
    for (size_t i = 0; i < a[row].size(); ++i) {
      count += std::memcmp(&a[row][i], &b[row][i], sizeof(float)) != 0 ? 1 : 0;
    }
  }
  return count;
}

// Requests, and what each adds in each step (none: it waits or has ended).
struct Mix {
  std::vector<int32_t> slots = {-1, 0, 1, 2, 3, 1, -1, 0};
  std::vector<std::vector<std::vector<int32_t>>> steps;  // [step][request]
};

Mix RandomMix(std::mt19937& random, const ModelHost& host) {
  Mix mix;
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

// Logits of one step by request, none for those that wait.
std::vector<ModelHost::Logits> RunStep(ModelHost& host, std::vector<HostSequence>& sequences,
                                       const std::vector<std::vector<int32_t>>& tokens) {
  std::vector<StepPart> parts;
  for (size_t r = 0; r < tokens.size(); ++r) {
    if (!tokens[r].empty()) parts.push_back({&sequences[r], tokens[r]});
  }
  auto logits = host.Step(parts);
  EXPECT_TRUE(logits.ok()) << logits.status();
  std::vector<ModelHost::Logits> result(tokens.size());
  if (!logits.ok()) return result;
  auto next = logits->begin();
  for (size_t r = 0; r < tokens.size(); ++r) {
    if (!tokens[r].empty()) result[r] = std::move(*next++);
  }
  return result;
}

std::vector<HostSequence> Sequences(const std::vector<int32_t>& slots) {
  std::vector<HostSequence> sequences(slots.size());
  for (size_t r = 0; r < slots.size(); ++r) sequences[r].slot = slots[r];
  return sequences;
}

TEST_P(RunnerContractTest, AloneInTheSameShapeAsInTheMix) {
  const auto host = Open(/*max_graph_rows=*/8);
  if (host == nullptr) return;
  DeviceBackend& backend = DeviceBackend::Of(*host);
  const uint32_t seed = 20261126;
  std::mt19937 random(seed);
  const Mix mix = RandomMix(random, *host);
  std::vector<HostSequence> together = Sequences(mix.slots);
  std::vector<StepShape> shapes;
  std::vector<std::vector<ModelHost::Logits>> expected;  // [step][request]
  for (const auto& step : mix.steps) {
    expected.push_back(RunStep(*host, together, step));
    shapes.push_back(backend.device_runner().last_shape());
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
      EXPECT_EQ(DifferentBits((*logits)[0], expected[s][r]), 0u)
          << "seed " << seed << ", request " << r << ", step " << s;
      rows += (*logits)[0].size();
    }
  }
  EXPECT_GT(rows, 250u);
}

TEST_P(RunnerContractTest, ReplaysGiveWhatLaunchesGive) {
  std::vector<std::vector<ModelHost::Logits>> logits[2];
  for (const bool graphs : {false, true}) {
    const auto host = Open(graphs ? 4 : 0);
    if (host == nullptr) return;
    std::mt19937 random(22);
    std::vector<HostSequence> sequences = Sequences({-1, 0, 1, 3});
    // The base alone takes the graphs without LoRA.
    for (const size_t count : {4u, 3u, 1u, 4u, 2u, 1u}) {
      std::vector<std::vector<int32_t>> tokens(4);
      for (size_t i = 0; i < count; ++i) tokens[i] = RandomTokens(random, *host, 1);
      logits[graphs].push_back(RunStep(*host, sequences, tokens));
    }
    EXPECT_EQ(DeviceBackend::Of(*host).device().counters().graph_replays, graphs ? 6 : 0);
  }
  for (size_t s = 0; s < logits[0].size(); ++s) {
    for (size_t i = 0; i < logits[0][s].size(); ++i) {
      EXPECT_EQ(DifferentBits(logits[0][s][i], logits[1][s][i]), 0u) << "step " << s;
    }
  }
}

TEST_P(RunnerContractTest, PagesGoToTheHostAndComeBack) {
  for (const int32_t max_graph_rows : {0, 8}) {
    const std::unique_ptr<ModelHost> host = Open(max_graph_rows);
    if (host == nullptr) return;
    const int64_t slots = DeviceBackend::Of(*host).device_runner().num_host_pages();
    ASSERT_GE(slots, 5);
    ExpectPagesComeBack(*host, 1, static_cast<int32_t>(slots));
  }
}

TEST_P(RunnerContractTest, LogitsAreNearTheCpus) {
  // Root mean square of the errors, of that of the logits. Each of the two layers rounds what its
  // linears and attention take in, q, K and V, each time by u / √3 of itself, where u is 2^-9 in
  // bf16, and the delta of each of four sites in long steps, where it is no larger than what it is
  // added to; fourteen such roundings a layer, as if independent, and four times that for what
  // softmax and norms make of them.
  const double unit = GetParam().dtype == kernels::DType::kBf16 ? 0x1p-9 : 0x1p-12;
  const double tolerance = 4.0 * std::sqrt(2.0 * 14.0 / 3.0) * unit;
  const auto host = Open(/*max_graph_rows=*/8);
  if (host == nullptr) return;
  const auto cpu = OpenCpu();
  ASSERT_NE(cpu, nullptr);
  std::mt19937 random(5);
  const Mix mix = RandomMix(random, *host);
  std::vector<HostSequence> on_device = Sequences(mix.slots);
  std::vector<HostSequence> on_cpu = Sequences(mix.slots);
  double errors = 0.0;
  double squares = 0.0;
  for (const auto& step : mix.steps) {
    const auto got = RunStep(*host, on_device, step);
    const auto want = RunStep(*cpu, on_cpu, step);
    for (size_t r = 0; r < got.size(); ++r) {
      ASSERT_EQ(got[r].size(), want[r].size());
      for (size_t row = 0; row < got[r].size(); ++row) {
        for (size_t i = 0; i < got[r][row].size(); ++i) {
          errors += std::pow(double{got[r][row][i]} - want[r][row][i], 2);
          squares += std::pow(double{want[r][row][i]}, 2);
        }
      }
    }
  }
  EXPECT_GT(squares, 0.0);
  EXPECT_LE(std::sqrt(errors / squares), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Devices, RunnerContractTest, testing::ValuesIn(RunnerDevices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chorus::test
