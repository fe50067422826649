// Adapters that come while others run: scheduler, loads and the runner of devices together, in the
// simulator's virtual time and in its adversarial orders.
#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_server.h"
#include "tests/support/linears_adapter.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

using kernels::SimOptions;
using kernels::SimOrder;

class ColdAdaptersTest : public ::testing::Test {
 protected:
  explicit ColdAdaptersTest(int layers = 3) {
    TinyModel::Make("LlamaForCausalLM", {{"hidden_size", 64},
                                         {"num_attention_heads", 4},
                                         {"num_key_value_heads", 2},
                                         {"head_dim", 16},
                                         {"num_hidden_layers", layers},
                                         {"max_position_embeddings", 512}})
        .Write(dir_.path());
    config_ = *engine::ModelConfig::Load(dir_.path());
    geometry_ = {.num_ids = 1,
                 .num_slabs = config_.layers,
                 .kv_heads = config_.kv_heads,
                 .head_dim = config_.head_dim,
                 .dtype = kernels::DType::kBf16,
                 .b_tiles = kernels::BTileOrder::kFragments};
  }

  engine::AdapterRef Adapter(uint64_t seed, int rank) const {
    return *LinearsAdapter(config_, geometry_, rank, seed);
  }
  static engine::GenerateRequest Request(const std::string& id, uint32_t seed, int prompt,
                                         int max_tokens, engine::AdapterRef adapter) {
    engine::GenerateRequest request;
    request.request_id = id;
    request.tenant = "tenant";
    request.adapter = std::move(adapter);
    std::mt19937 random(seed);
    for (int i = 0; i < prompt; ++i) {
      request.prompt.push_back(3 + static_cast<int32_t>(random() % 90));
    }
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.sampling.temperature = 0.0f;
    request.sampling.num_logprobs = 2;
    return request;
  }

  const TempDir dir_;
  engine::ModelConfig config_;
  kernels::PoolView geometry_;
};

// What happened around a request with an adapter, while three of the base model ran.
struct Scene {
  double worst_gap_us = 0;  // between two tokens of one of the three, once it came
  double first_token_us = 0;
  int early_steps = 0;
  std::vector<int32_t> tokens;
};

class ColdSceneTest : public ColdAdaptersTest {
 protected:
  // Layers enough for some to arrive while others are computed.
  ColdSceneTest() : ColdAdaptersTest(12) {}

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
    const int64_t bytes = adapter->layout().num_tiles * kernels::TileBytes(geometry_.dtype);
    SimServerOptions options;
    options.sim = {.order = SimOrder::kTimed,
                   .copy_us = 0.1,
                   .host_bytes_per_us = static_cast<double>(bytes) / 1000,
                   .copy_slowness = setting.slowness};
    options.engine = {.max_step_tokens = 80, .max_prefill_chunk = 64};
    options.adapters.chunk_bytes = 1024;
    options.pages = 64 + adapter->layout().num_ids;
    options.early_steps = setting.early_steps;
    options.told_step_time = setting.told_step_time;
    SimServer server(dir_.path(), options);
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

// Requests with adapters that come, go, are cancelled while they load and give up their pages to
// each other, in a pool that holds few of them and an arena on the host that does not hold all.
class ColdChaosTest : public ColdAdaptersTest, public ::testing::WithParamInterface<SimOrder> {
 protected:
  static constexpr int kRequests = 24;

  engine::GenerateRequest Make(int i) const {
    const auto seed = static_cast<uint32_t>(i);
    return Request(absl::StrCat("r", i), 100 + seed, 4 + i * 7 % 40, 8,
                   i % 5 == 0 ? nullptr : adapters_[static_cast<size_t>(i) % adapters_.size()]);
  }
  // Each alone, with room for all.
  const std::vector<SimAnswer>& Alone() const {
    static const std::vector<SimAnswer> answers = RunAlone();
    return answers;
  }
  std::vector<SimAnswer> RunAlone() const {
    SimServer server(dir_.path(), {.sim = {.order = SimOrder::kEager}, .pages = 512});
    std::vector<SimAnswer> answers;
    for (int i = 0; i < kRequests; ++i) {
      server.Submit(Make(i));
      server.RunToEnd();
      answers.push_back(server.answer(absl::StrCat("r", i)));
    }
    return answers;
  }

  const std::vector<engine::AdapterRef> adapters_ = {Adapter(1, 8),  Adapter(2, 16), Adapter(3, 24),
                                                     Adapter(4, 40), Adapter(5, 64), Adapter(6, 8)};
};

TEST_P(ColdChaosTest, EveryAnswerIsWhatItIsAlone) {
  const std::vector<SimAnswer>& alone = Alone();
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  SimServerOptions options;
  options.sim = {.order = GetParam(), .seed = seed, .copy_slowness = 10};
  options.engine.max_running = 8;
  options.engine.max_step_tokens = 64;
  options.engine.max_prefill_chunk = 16;
  options.engine.max_loads = 3;
  options.engine.loader_threads = 2;
  const int64_t largest = adapters_[4]->layout().num_ids;
  options.pages = 2 * largest + 16;
  const int64_t bytes = adapters_[4]->layout().num_tiles * kernels::TileBytes(geometry_.dtype);
  options.adapters = {.pinned_bytes = bytes * 3 / 2, .chunk_bytes = 2048};
  SimServer server(dir_.path(), options);
  std::vector<bool> cancelled(kRequests);
  for (int i = 0; i < kRequests; ++i) {
    server.Submit(Make(i));
    for (uint32_t turns = random() % 4; turns > 0; --turns) server.Turn();
    if (random() % 4 == 0) {
      const int other = static_cast<int>(random() % static_cast<uint32_t>(i + 1));
      if (!server.answer(absl::StrCat("r", other)).ended)
        cancelled[static_cast<size_t>(other)] = true;
      server.scheduler().Cancel(absl::StrCat("r", other), -1, engine::FinishReason::kCancelled);
    }
    if (random() % 8 == 0) {
      server.scheduler().Forget(engine::Residency::KeyOf(*adapters_[random() % adapters_.size()]));
    }
  }
  server.RunToEnd();
  EXPECT_GE(server.stats().adapter_evictions, 1u);
  int compared = 0;
  for (int i = 0; i < kRequests; ++i) {
    const SimAnswer& got = server.answer(absl::StrCat("r", i));
    const SimAnswer& expected = alone[static_cast<size_t>(i)];
    EXPECT_TRUE(got.ended && got.status.ok()) << got.status;
    const bool whole = got.tokens.size() == expected.tokens.size();
    EXPECT_TRUE(whole || cancelled[static_cast<size_t>(i)]) << "request " << i;
    for (size_t t = 0; t < got.tokens.size(); ++t, ++compared) {
      if (got.tokens[t] == expected.tokens[t]) continue;
      // Other chunks of keys round otherwise: only what is nearly equal may change places.
      EXPECT_LT(expected.margins[t], 0.05f) << "request " << i << ", token " << t;
      break;
    }
  }
  EXPECT_GE(compared, 4 * kRequests);
}

INSTANTIATE_TEST_SUITE_P(Orders, ColdChaosTest,
                         ::testing::Values(SimOrder::kLazy, SimOrder::kEager, SimOrder::kRandom,
                                           SimOrder::kTimed));

}  // namespace
}  // namespace chorus::test
