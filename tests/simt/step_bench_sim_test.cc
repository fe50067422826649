// The bench of whole steps on the simulator: its report has everything that was asked for.
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/step_device_sim.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using bench::Json;
using bench::StepCase;
using testing::Contains;
using testing::HasSubstr;

class StepBenchTest : public testing::Test {
 protected:
  Json Run(const std::vector<absl::string_view>& more, int64_t pool_bytes = int64_t{2} << 20) {
    device_ = OpenSimStepDevice({.order = kernels::SimOrder::kTimed});
    bench::StepBenchOptions options = TinyStepOptions(&device_, more);
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

// The runner launches a shrink and an expand for each site of each layer, and a plan for the step;
// the simulator takes as long for any kernel.
TEST_F(StepBenchTest, LoraAloneIsTheRunnersLaunchesOverTheAdaptersBytes) {
  const Json result = Run({"--lora-alone"});
  EXPECT_TRUE(result["cases"].empty());
  const bench::StepModel tiny = *bench::FindStepModel("tiny");
  const double read_us = result["ceilings"]["read_gb_s"].get<double>() * 1e3;  // bytes
  size_t i = 0;
  for (const StepCase& c : bench::LoraCases(tiny)) {
    const Json& got = result["lora"].at(i++);
    EXPECT_EQ(got["name"], c.name);
    const double sites = c.attention_only ? 2 : 4;
    EXPECT_NEAR(got["plan_us"].get<double>(), 5.0, 1e-6) << c.name;
    EXPECT_NEAR(got["us"].get<double>(), 5.0 + 2 * sites * 2 * 5.0, 1.0) << c.name;
    EXPECT_EQ(got["bytes"], bench::CostOf(tiny.config, c).adapter_bytes) << c.name;
    EXPECT_NEAR(got["share"].get<double>(),
                got["bytes"].get<double>() / got["us"].get<double>() / read_us, 1e-9);
    ASSERT_EQ(got["sites"].size(), sites) << c.name;
    int64_t bytes = 0;
    for (const Json& site : got["sites"]) {
      EXPECT_NEAR(site["us"].get<double>(), 2 * 2 * 5.0, 1e-6) << c.name;
      EXPECT_NEAR(site["share"].get<double>(), site["bytes"].get<double>() / 20.0 / read_us, 1e-9);
      bytes += site["bytes"].get<int64_t>();
    }
    EXPECT_EQ(got["bytes"], bytes);
  }
  EXPECT_EQ(result["lora"].size(), i);
  EXPECT_EQ(result["lora"][0]["sites"][2]["site"], "gate_up");
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
  const Json result = Run({"--only", "4 rows, 4 x"}, 60 * 2 * 4096);
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
  EXPECT_TRUE(ceilings["lora"].empty());
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
