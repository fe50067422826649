// Adapters that come while others run: scheduler, loads and the runner of devices together, in the
// simulator's virtual time.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_server.h"
#include "tests/support/server_fixture.h"

namespace chorus::test {
namespace {

using kernels::SimOrder;

// What happened around a request with an adapter, while three of the base model ran.
struct Scene {
  double worst_gap_us = 0;  // between two tokens of one of the three, once it came
  double first_token_us = 0;
  int early_steps = 0;
  std::vector<int32_t> tokens;
};

class ColdSceneTest : public ServerTest {
 protected:
  // Layers enough for some to arrive while others are computed.
  ColdSceneTest() : ServerTest(12, 16) {}

  // In a virtual time in which every launch takes 5 us, so a step some 600 and one with LoRA 900,
  // the adapter's copies take 1200, times `slowness`.
  struct Setting {
    double slowness = 1;
    bool early_steps = true;
    double told_step_time = 1;
    bool warm = false;
    int tokens = 16;  // of the three
  };
  Scene Play(const Setting& setting) {
    const engine::AdapterRef adapter = Adapter(5, 64);
    const int64_t bytes = adapter->layout().num_tiles * kernels::TileBytes(geometry().dtype);
    SteppedServerOptions options;
    const kernels::SimOptions sim = {.order = SimOrder::kTimed,
                                     .copy_us = 0.1,
                                     .host_bytes_per_us = static_cast<double>(bytes) / 1000,
                                     .copy_slowness = setting.slowness};
    options.engine = {.max_step_tokens = 80, .max_prefill_chunk = 64};
    options.adapters.chunk_bytes = 1024;
    options.pages = 64 + adapter->layout().num_ids;
    options.early_steps = setting.early_steps;
    options.told_step_time = setting.told_step_time;
    SteppedServer server(dir(), *OnSimulatedServer(sim)(), options);
    server.Submit(Request("known", 9, 64, 1, nullptr));  // so that a step's time is known
    server.RunToEnd();
    if (setting.warm) {
      server.Submit(Request("before", 8, 16, 1, adapter));
      server.RunToEnd();
    }
    for (int i = 0; i < 3; ++i)
      server.Submit(Request(absl::StrCat("r", i), 10 + i, 8, setting.tokens, nullptr));
    while (server.answer("r2").tokens.size() < 4) server.Turn();
    const double begin = server.now_us();
    const int early = server.num_early_steps();
    server.Submit(Request("cold", 7, 64, 4, adapter));
    server.RunToEnd();
    Scene scene;
    for (int i = 0; i < 3; ++i) {
      const std::vector<double>& at = server.answer(absl::StrCat("r", i)).at_us;
      for (size_t t = 1; t < at.size(); ++t) {
        if (at[t] > begin) scene.worst_gap_us = std::max(scene.worst_gap_us, at[t] - at[t - 1]);
      }
    }
    scene.tokens = server.answer("cold").tokens;
    scene.first_token_us = server.answer("cold").at_us.front() - begin;
    scene.early_steps = server.num_early_steps() - early;
    return scene;
  }
};

TEST_F(ColdSceneTest, TheFirstStepBeginsBeforeTheLastLayerIsThere) {
  const Scene warm = Play({.warm = true});
  const Scene cold = Play({});
  const Scene waiting = Play({.early_steps = false});
  EXPECT_EQ(warm.early_steps, 0);
  EXPECT_GE(cold.early_steps, 1);
  EXPECT_EQ(waiting.early_steps, 0);
  EXPECT_EQ(cold.tokens, warm.tokens);
  EXPECT_EQ(waiting.tokens, warm.tokens);
  EXPECT_LT(cold.worst_gap_us, 1.10 * warm.worst_gap_us);
}

TEST_F(ColdSceneTest, CopiesTwentyTimesSlowerHoldUpNobodyElse) {
  const Scene warm = Play({.slowness = 20, .warm = true, .tokens = 40});
  const Scene cold = Play({.slowness = 20, .tokens = 40});
  EXPECT_EQ(cold.tokens, warm.tokens);
  EXPECT_GT(cold.first_token_us, 5 * warm.first_token_us);
  EXPECT_LT(cold.worst_gap_us, 1.10 * warm.worst_gap_us);
  // A scheduler that takes steps for longer than they are lets the others wait, and that is seen.
  const Scene fooled = Play({.slowness = 20, .told_step_time = 100});
  EXPECT_EQ(fooled.tokens, warm.tokens);
  EXPECT_GE(fooled.early_steps, 1);
  EXPECT_GT(fooled.worst_gap_us, 2 * warm.worst_gap_us);
}

}  // namespace
}  // namespace chorus::test
