// The LoRA kernels, shrink and expand one after the other or in one launch of clusters.
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/lora_cases.h"
#include "tests/simt/mutation.h"
#include "tests/simt/simt_launch.h"

namespace chorus::test {
namespace {

using kernels::DType;
using kernels::EveryOrder;
using kernels::SimtOptions;

// Element type; in clusters or not.
class LoraSimtTest : public testing::TestWithParam<std::tuple<DType, bool>> {
 protected:
  static DType dtype() { return std::get<0>(GetParam()); }
  static bool clusters() { return std::get<1>(GetParam()); }

  // The case in one order, another for each seed; with tiles by bulk copies or lanes, in clusters
  // of 4 or 8, which leave a delta in f32.
  static void Expect(LoraCase c, uint32_t seed) {
    c.seed = seed;
    if (clusters()) {
      c.wide_delta = true;
      c.cluster = seed % 2 == 0 ? 4 : 8;
    } else {
      c.bulk = seed % 3 != 0;
    }
    const std::vector<SimtOptions> orders = EveryOrder(seed);
    const SimtOptions& options = orders[seed % orders.size()];
    EXPECT_EQ(RunLoraCase(c, options), "") << Name(c) << ", " << Name(options);
  }
};
INSTANTIATE_TEST_SUITE_P(Simt, LoraSimtTest,
                         testing::Combine(testing::Values(DType::kBf16, DType::kF16),
                                          testing::Bool()),
                         [](const auto& info) {
                           return absl::StrCat(std::string(kernels::Name(std::get<0>(info.param))),
                                               std::get<1>(info.param) ? "_clusters" : "");
                         });

// Every rank with every number of rows, widths and cuts in turn.
TEST_P(LoraSimtTest, EveryRankWithEveryNumberOfRows) {
  const std::vector<int> inputs = {64, 8, 56, 576, 264, 1096};
  const std::vector<int> widths = {64, 8, 200, 576, 32, 1032};
  uint32_t seed = 1;
  for (const int rank : {1, 7, 8, 9, 16, 17, 24, 33, 64, 100, 128, 255, 256}) {
    for (const int rows : {1, 15, 16, 17, 50}) {
      Expect({.dtype = dtype(),
              .wide_delta = seed / 3 % 2 != 0,
              .inputs = inputs[seed % inputs.size()],
              .widths = {widths[seed / 2 % widths.size()]},
              .segments = {{.rows = rows, .ranks = {rank}, .has_bias = seed % 4 == 0}},
              .num_ids = 512,
              .max_planes = seed % 5 == 0 ? 2 : 16,
              .blocks = 1 + static_cast<int>(seed % 4),
              .spread = static_cast<int>(seed % 3) * 12},
             seed);
      ++seed;
    }
  }
}

TEST_P(LoraSimtTest, NamedWidths) {
  uint32_t seed = 100;
  for (const int inputs : {192, 1536, 4096, 5504, 14336}) {
    Expect({.dtype = dtype(),
            .inputs = inputs,
            .widths = {inputs == 14336 ? 64 : 192},
            .segments = {{.rows = 3, .ranks = {16}}},
            .tiles_per_cell = 128,
            .blocks = 5},
           seed++);
  }
  Expect({.dtype = dtype(),
          .widths = {14336, 64},
          .segments = {{.rows = 2, .ranks = {16, 72}}},
          .tiles_per_cell = 128,
          .num_ids = 256,
          .blocks = 4},
         seed);
}

// For clusters: adapters whose modules are one unit, two, or one each.
TEST_P(LoraSimtTest, MixedRanksAndModulesThatAnAdapterLacks) {
  for (uint32_t seed = 200; seed < 206; ++seed) {
    Expect({.dtype = dtype(),
            .inputs = 320,
            .widths = {96, 40, 232},
            .segments = {{.rows = 1, .ranks = {8, 0, 16}},
                         {.rows = 33, .ranks = {0, 256, 8}, .has_bias = true},
                         {.rows = 2, .ranks = {0, 0, 0}},
                         {.rows = 5, .ranks = {24, 40, 72}},
                         {.rows = 1, .ranks = {128, 113, 24}},
                         {.rows = 4, .ranks = {256, 255, 254}},
                         {.rows = 16, .ranks = {3, 3, 0}, .has_bias = true}},
            .num_ids = 1024,
            .max_planes = 1 + static_cast<int>(seed % 2),
            .blocks = 1 + static_cast<int>(seed % 5)},
           seed);
  }
}

TEST_P(LoraSimtTest, ARowsBitsAreItsOwn) {
  for (uint32_t seed = 250; seed < 253; ++seed) {
    const LoraCase c{.dtype = dtype(),
                     .inputs = 584,
                     .widths = {96, 40, 232},
                     .segments = {{.rows = 1, .ranks = {16, 16, 16}},
                                  {.rows = 19, .ranks = {0, 256, 8}, .has_bias = true},
                                  {.rows = 3, .ranks = {128, 113, 24}}},
                     .num_ids = 1024,
                     .spread = 60,
                     .cluster = !clusters()     ? 0
                                : seed % 2 == 0 ? 4
                                                : 8,
                     .seed = seed};
    const SimtOptions options = EveryOrder(seed)[seed % 5];
    EXPECT_EQ(RunLoraCaseAlone(c, options), "") << Name(c) << ", " << Name(options);
  }
}

TEST_P(LoraSimtTest, MoreSegmentsThanThreads) {
  LoraCase c{.dtype = dtype(), .inputs = 8, .widths = {8}, .num_ids = 700, .blocks = 9};
  for (int s = 0; s < 600; ++s) c.segments.push_back({.rows = 1 + s % 2, .ranks = {s % 3}});
  Expect(c, 300);
}

TEST_P(LoraSimtTest, AnItemBeyondItsListIsFound) {
  LoraCase c{.dtype = dtype(),
             .inputs = 264,
             .widths = {64, 200},
             .segments = {{.rows = 17, .ranks = {8, 40}}, {.rows = 1, .ranks = {16, 8}}},
             .cluster = clusters() ? 4 : 0};
  for (const SimtOptions& options : EveryOrder(350)) {
    c.missing_items = 0;
    EXPECT_EQ(RunLoraCase(c, options), "") << Name(options);
    c.missing_items = 1;
    EXPECT_THAT(RunLoraCase(c, options), testing::HasSubstr("items")) << Name(options);
  }
}

TEST_P(LoraSimtTest, NothingToDo) { Expect({.dtype = dtype(), .segments = {}}, 400); }

// Ids near the end of 16 GiB: a product of an id and a page in 32 bits would wrap.
TEST_P(LoraSimtTest, PagesAtTheEndOfALargePool) {
  Expect({.dtype = dtype(),
          .inputs = 256,
          .widths = {256},
          .segments = {{.rows = 4, .ranks = {16}}, {.rows = 4, .ranks = {64}}},
          .tiles_per_cell = 128,
          .num_ids = (int64_t{16} << 30) / (128 * 512) / 2},
         500);
}

// xA far from 1, and far from that of another module: an f16 remainder would be subnormal, and
// lost.
TEST_P(LoraSimtTest, SmallAndLargeActivations) {
  uint32_t seed = 600;
  for (const float scale : {1e-3f, 30.0f}) {
    Expect({.dtype = dtype(),
            .inputs = 576,
            .widths = {64, 64},
            .segments = {{.rows = 7, .ranks = {16, 40}}},
            .x_scale = scale},
           seed++);
  }
}

// How the kernels run: tiles by bulk copies or lanes, in clusters or not.
struct Way {
  bool bulk = true;
  int cluster = 0;
};

// Rings wrap, blocks and clusters do several items, tiles end with their page, the first step of a
// unit is not there, and every table ends in poison.
std::vector<LoraCase> MutationCases(DType dtype, const Way& way) {
  std::vector<LoraCase> cases = {{.dtype = dtype,
                                  .inputs = 1096,
                                  .widths = {72, 328},
                                  .segments = {{.rows = 3, .ranks = {9, 24}, .has_bias = true},
                                               {.rows = 17, .ranks = {0, 40}},
                                               {.rows = 9, .ranks = {8, 100}}},
                                  .tiles_per_cell = 8,
                                  .num_ids = 512,
                                  .blocks = way.cluster > 0 ? 1 : 2},
                                 {.dtype = dtype,
                                  .wide_delta = way.cluster > 0,
                                  .inputs = 2600,
                                  .widths = {8},
                                  .segments = {{.rows = 2, .ranks = {16}}, {.ranks = {32}}},
                                  .num_ids = 128,
                                  .max_planes = 2,
                                  .blocks = way.cluster > 0 ? 2 : 1,
                                  .fills_lease = true}};
  // Blocks without an item, one or all.
  if (way.cluster == 0) {
    cases.push_back({.dtype = dtype, .segments = {{.rows = 1, .ranks = {8}}}, .blocks = 7});
    cases.push_back({.dtype = dtype, .segments = {}});
  }
  for (LoraCase& c : cases) {
    c.bulk = way.bulk;
    c.cluster = way.cluster;
  }
  return cases;
}

TEST_P(LoraSimtTest, EveryBarrierAndBoundIsNeeded) {
  const auto run = [](const SimtOptions& options) {
    const std::vector<Way> ways =
        clusters() ? std::vector<Way>{{.cluster = 4}} : std::vector<Way>{{}, {.bulk = false}};
    for (const Way& way : ways) {
      for (const LoraCase& c : MutationCases(dtype(), way)) {
        std::string failure = RunLoraCase(c, options);
        if (!failure.empty()) return failure;
      }
    }
    return std::string();
  };
  const kernels::MutationResult result = kernels::MutateEverySite(run);
  EXPECT_EQ(result.clean_failure, "");
  for (const std::string& survivor : result.survivors)
    ADD_FAILURE() << survivor << " is not needed";
  EXPECT_GE(result.caught.size(), clusters() ? 19u : 22u);
}

}  // namespace
}  // namespace chorus::test
