// Traces on replicas: times that can be worked out by hand, and that a run repeats exactly.
#include "bench/simulate/fleet.h"

#include <sstream>

#include "bench/simulate/simulated_adapter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/bench/simulate/machine_of.h"

namespace chorus::bench {
namespace {

using nlohmann::json;

constexpr Nanos kMs = 1'000'000;

Trace TraceOf(std::vector<TraceRequest> requests) {
  return {.requests = std::move(requests), .tenants = {"t"}};
}

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
  const Trace trace = TraceOf({{.arrival = 0.0, .prompt = 150, .output = 3},
                               {.arrival = 5e-3, .prompt = 10, .output = 2},
                               {.arrival = 31e-3, .prompt = 10, .output = 1},
                               {.arrival = 200e-3, .prompt = 10, .output = 1}});
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

TEST(FleetTest, AttainmentCountsThoseThatWaitTooLong) {
  // One at a time: each waits for all before it.
  FleetOptions options = OptionsOf(MachineOf(10e-3));
  options.engine.max_running = 1;
  options.first_token_limit_s = 25e-3;
  std::vector<TraceRequest> requests(4, {.arrival = 0.0, .prompt = 5, .output = 1});
  const Trace trace = TraceOf(requests);
  Fleet fleet(options, trace);
  fleet.Run();
  const json figures = fleet.Figures();
  EXPECT_EQ(figures["attainment"], 0.5);
  EXPECT_NEAR(figures["satisfaction"], ((1 - 0.16) + (1 - 0.64)) / 4, 1e-9);
}

TEST(FleetTest, WhatNoPoolCouldHoldIsRefusedAndTheRestIsServed) {
  FleetOptions options = OptionsOf(MachineOf(10e-3, /*pages=*/10));
  const Trace trace = TraceOf(
      {{.arrival = 0.0, .prompt = 500, .output = 3}, {.arrival = 0.0, .prompt = 50, .output = 3}});
  Fleet fleet(options, trace);
  fleet.Run();
  EXPECT_EQ(fleet.Figures()["refused"], 1);
  EXPECT_EQ(fleet.Figures()["finished"], 1);
}

// Requests of 60 adapters on a pool that holds a few of them.
Trace BusyTrace() {
  Trace trace = TraceOf({});
  std::mt19937 random(7);
  for (int i = 0; i < 400; ++i) {
    trace.requests.push_back({.arrival = i * 4e-3,
                              .adapter = static_cast<int64_t>(random() % 60) - 1,
                              .prompt = 1 + static_cast<int32_t>(random() % 200),
                              .output = 1 + static_cast<int32_t>(random() % 50)});
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
  const Trace trace = TraceOf({{.arrival = 0.0, .prompt = 1, .output = 20},
                               {.arrival = 5e-3, .adapter = 0, .prompt = 2, .output = 1}});
  Fleet fleet(options, trace);
  fleet.Run();
  // Seen at 10, copied from 10 to 30. At 20 one layer is there, and a step of two rows would take
  // 20 ms at the last steps' pace: it begins, and would end at 30, but for the last layer, which is
  // computed from 30 to 35.
  EXPECT_EQ(fleet.records()[1].first, 35 * kMs);
}

TEST(TraceTest, LinesAreReadAndFaultsAreNamed) {
  const auto read = [](const std::string& text) {
    std::istringstream lines(text);
    return ReadTrace(&lines);
  };
  const std::string good =
      R"({"arrival": 0.5, "adapter": 3, "prompt": 7, "output": 9, "tenant": "b"})";
  const std::string base =
      R"({"arrival": 0.75, "adapter": null, "prompt": 1, "output": 1, "tenant": "a"})";
  const auto trace = read(good + "\n" + base + "\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->num_adapters(), 4);
  EXPECT_EQ(trace->requests[0].arrival, 0.5);
  EXPECT_EQ(trace->requests[1].adapter, -1);
  EXPECT_EQ(trace->tenants[static_cast<size_t>(trace->requests[1].tenant)], "a");
  const auto fault = [&](const std::string& text) {
    return std::string(read(text).status().message());
  };
  EXPECT_EQ(fault(""), "trace: expected lines, got none");
  EXPECT_EQ(fault(good + "\n[]"), "trace line 2: expected an object");
  EXPECT_EQ(fault(good + "\n" + R"({"arrival": 1})"), "trace line 2: expected a field adapter");
  EXPECT_EQ(fault(base + "\n" + good),
            "trace line 2: arrival: expected seconds from 0.75 on, got 0.5");
  EXPECT_EQ(fault(R"({"arrival": 0, "adapter": -1, "prompt": 1, "output": 1, "tenant": ""})"),
            "trace line 1: adapter: expected null or an index, got -1");
  EXPECT_EQ(fault(R"({"arrival": 0, "adapter": 1, "prompt": 0, "output": 1, "tenant": ""})"),
            "trace line 1: prompt: expected at least 1, got 0");
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
