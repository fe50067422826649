// Traces on replicas: times that can be worked out by hand, and that a run repeats exactly.
#include "bench/simulate/fleet.h"

#include "bench/simulate/simulated_adapter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/bench/simulate/machine_of.h"

namespace chorus::bench {
namespace {

using nlohmann::json;

constexpr Nanos kMs = 1'000'000;

FleetOptions OptionsOf(const Machine& machine) {
  FleetOptions options;
  options.machine = machine;
  return options;
}

TEST(FleetTest, TokensComeAtTheEndsOfStepsAndArrivalsWaitForThem) {
  // Steps of 10 ms. The first prompt is cut in two chunks, so it draws at 20 ms; what arrives at 5
  // joins the second step, and what arrives at 31 the one that begins at 40.
  FleetOptions options = OptionsOf(MachineOf(10e-3));
  options.engine.max_prefill_chunk = 100;
  const Trace trace = {
      {.arrival = absl::ZeroDuration(), .prompt_tokens = 150, .output_tokens = 3},
      {.arrival = absl::Milliseconds(5), .prompt_tokens = 10, .output_tokens = 2},
      {.arrival = absl::Milliseconds(31), .prompt_tokens = 10, .output_tokens = 1},
      {.arrival = absl::Milliseconds(200), .prompt_tokens = 10, .output_tokens = 1}};
  Fleet fleet(options, trace);
  fleet.Run();
  const auto& records = fleet.records();
  EXPECT_EQ(records[0].first, 20 * kMs);
  EXPECT_EQ(records[0].end, 40 * kMs);
  EXPECT_EQ(records[1].first, 20 * kMs);
  EXPECT_EQ(records[1].end, 30 * kMs);
  EXPECT_EQ(records[2].first, 50 * kMs);
  EXPECT_EQ(records[3].end, 210 * kMs);
  const json figures = fleet.Figures();
  EXPECT_EQ(figures["finished"], 4);
  EXPECT_EQ(figures["steps"]["count"], 6);
  EXPECT_NEAR(figures["throughput"], 4 / 210e-3, 1e-6);
  EXPECT_NEAR(figures["ttft_s"]["mean"], (20 + 15 + 19 + 10) * 1e-3 / 4, 1e-9);
  EXPECT_NEAR(figures["itl_s"]["p50"], 10e-3, 0.01 * 10e-3);
  EXPECT_EQ(figures["attainment"], 1.0);
}

// The stop token takes a step of its own, and is none of the answer's.
TEST(FleetTest, AnswersMayEndBeforeWhatTheyAskFor) {
  FleetOptions options = OptionsOf(MachineOf(10e-3));
  options.max_tokens = 5;
  Trace trace(2, {.arrival = absl::ZeroDuration(), .prompt_tokens = 10, .output_tokens = 3});
  trace[1].output_tokens = 7;  // more than that
  Fleet fleet(options, trace);
  fleet.Run();
  const auto& records = fleet.records();
  EXPECT_EQ(records[0].reason, engine::FinishReason::kStop);
  EXPECT_EQ(records[0].tokens, 3);
  EXPECT_EQ(records[0].end, 40 * kMs);
  EXPECT_EQ(records[1].reason, engine::FinishReason::kLength);
  EXPECT_EQ(records[1].tokens, 7);
  EXPECT_EQ(fleet.Figures()["finished"], 2);
}

TEST(FleetTest, AttainmentCountsThoseThatWaitTooLong) {
  // One at a time: each waits for all before it.
  FleetOptions options = OptionsOf(MachineOf(10e-3));
  options.engine.max_running = 1;
  options.first_token_limit_s = 25e-3;
  const Trace trace(4, {.arrival = absl::ZeroDuration(), .prompt_tokens = 5, .output_tokens = 1});
  Fleet fleet(options, trace);
  fleet.Run();
  const json figures = fleet.Figures();
  EXPECT_EQ(figures["attainment"], 0.5);
  EXPECT_NEAR(figures["satisfaction"], ((1 - 0.16) + (1 - 0.64)) / 4, 1e-9);
}

TEST(FleetTest, WhatNoPoolCouldHoldIsRefusedAndTheRestIsServed) {
  FleetOptions options = OptionsOf(MachineOf(10e-3, /*pages=*/10));
  const Trace trace = {{.arrival = absl::ZeroDuration(), .prompt_tokens = 500, .output_tokens = 3},
                       {.arrival = absl::ZeroDuration(), .prompt_tokens = 50, .output_tokens = 3}};
  Fleet fleet(options, trace);
  fleet.Run();
  EXPECT_EQ(fleet.Figures()["refused"], 1);
  EXPECT_EQ(fleet.Figures()["finished"], 1);
}

// Requests of 60 adapters on a pool that holds a few of them.
Trace BusyTrace() {
  Trace trace;
  std::mt19937 random(7);
  for (int i = 0; i < 400; ++i) {
    cli::TraceRequest request;
    request.arrival = i * absl::Milliseconds(4);
    const auto adapter = static_cast<int32_t>(random() % 60);
    if (adapter > 0) request.adapter = adapter - 1;
    request.prompt_tokens = 1 + static_cast<int32_t>(random() % 200);
    request.output_tokens = 1 + static_cast<int32_t>(random() % 50);
    trace.push_back(request);
  }
  return trace;
}

FleetOptions BusyOptions(RoutePolicy router, int replicas) {
  FleetOptions options = OptionsOf(MachineOf(1e-3, 160));
  options.machine.load.read_bytes_per_s = 50e6;
  options.router = router;
  options.replicas = replicas;
  return options;
}

TEST(FleetTest, ARunRepeatsExactlyAndAnotherSeedDoesNot) {
  const Trace trace = BusyTrace();
  FleetOptions options = BusyOptions(RoutePolicy::kRandom, 3);
  const auto run = [&] {
    Fleet fleet(options, trace);
    fleet.Run();
    json figures = fleet.Figures();
    figures.erase("simulation");  // of this machine's clock
    return figures;
  };
  const json first = run();
  EXPECT_GT(first["adapters"]["evictions"], 10);
  EXPECT_EQ(first, run());
  options.seed = 2;
  EXPECT_NE(first, run());
}

TEST(FleetTest, AffineRoutingFindsAdaptersWhereTheyAre) {
  const Trace trace = BusyTrace();
  const auto hit_rate = [&](RoutePolicy policy) {
    Fleet fleet(BusyOptions(policy, 6), trace);
    fleet.Run();
    EXPECT_EQ(fleet.Figures()["finished"], 400);
    return fleet.Figures()["adapters"]["hit_rate"].get<double>();
  };
  EXPECT_GT(hit_rate(RoutePolicy::kAffine), hit_rate(RoutePolicy::kRandom) + 0.2);
}

TEST(FleetTest, AStepWaitsForTheLastLayerOfWhatArrives) {
  // Two layers, 10 ms to copy each: the adapter's request may begin once the first is there, if a
  // step takes long enough; it does not end before the second is there and computed.
  Machine machine = MachineOf(10e-3);
  const int64_t pages = LayoutOfRank(machine, 8, false).num_ids;
  machine.load.host_bytes = 1 << 30;
  machine.load.copy_bytes_per_s =
      static_cast<double>(pages * machine.pool_view().cell_bytes() * 2) / 20e-3;
  FleetOptions options = OptionsOf(machine);
  options.ranks = {8};
  options.engine.max_prefill_chunk = 2;  // so that the step's rows tell how long one takes
  options.engine.max_step_tokens = 64;
  const Trace trace = {
      {.arrival = absl::ZeroDuration(), .prompt_tokens = 1, .output_tokens = 20},
      {.arrival = absl::Milliseconds(5), .adapter = 0, .prompt_tokens = 2, .output_tokens = 1}};
  Fleet fleet(options, trace);
  fleet.Run();
  // Seen at 10, copied from 10 to 30. At 20 one layer is there, and a step of two rows would take
  // 20 ms at the last steps' pace: it begins, and would end at 30, but for the last layer, which is
  // computed from 30 to 35.
  EXPECT_EQ(fleet.records()[1].first, 35 * kMs);
}

TEST(DurationHistogramTest, PercentilesAreWithinOnePercent) {
  DurationHistogram histogram;
  for (Nanos i = 1; i <= 100000; ++i) histogram.Add(i * 1000);
  for (const double share : {0.001, 0.5, 0.95, 0.99, 1.0}) {
    EXPECT_NEAR(histogram.Percentile(share), share * 0.1, 0.01 * share * 0.1) << share;
  }
  EXPECT_EQ(DurationHistogram().Percentile(0.5), 0.0);
}

}  // namespace
}  // namespace chorus::bench
