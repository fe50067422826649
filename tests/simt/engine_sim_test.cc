// The whole engine, threads and loads included, over the backend of devices on the simulator: what
// the server runs on a GPU.
#include <bit>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/backend/device_backend.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/model/engine_run.h"
#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"
#include "tests/support/golden.h"
#include "tests/support/memory_adapter.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using engine::Backend;
using engine::BackendSpec;
using engine::GenerateRequest;
using kernels::DType;
using kernels::SimDevice;
using testing::HasSubstr;

constexpr float kGap = 0.2f;  // two logits off by the goldens' tolerance

class EngineSimTest : public testing::Test {
 protected:
  EngineSimTest() : golden_("llama") {
    golden_.WriteModel(dir_.path());
    config_ = *engine::ModelConfig::Load(dir_.path());
    spec_.model_dir = dir_.path();
    spec_.config = config_;
    spec_.dtype = DType::kBf16;
    spec_.vocabulary = config_.vocabulary;
    spec_.engine.max_running = 8;
    spec_.engine.max_step_tokens = 64;
    spec_.engine.max_prefill_chunk = 24;
    spec_.memory.adapter_host_bytes = 4 << 20;
  }

  absl::StatusOr<Backend> MakeBackend() {
    device_ = std::make_unique<SimDevice>(sim_);
    ops_ = std::make_unique<SimLibraryOps>(device_.get());
    return engine::MakeDeviceBackend(device_.get(), ops_.get(), spec_);
  }

  std::unique_ptr<EngineRun> OnSimulator() {
    absl::StatusOr<Backend> backend = MakeBackend();
    EXPECT_TRUE(backend.ok()) << backend.status();
    geometry_ = backend->pool;
    auto run = EngineRun::Start(config_, *std::move(backend), spec_.engine);
    EXPECT_TRUE(run.ok()) << run.status();
    return *std::move(run);
  }

  engine::AdapterRef Adapter(const std::string& name, const kernels::PoolView& geometry) {
    const Golden::AdapterFiles files = golden_.MakeAdapter(name);
    auto adapter =
        MemoryAdapter::Make("tenant", name, files.config, files.tensors, config_, geometry);
    EXPECT_TRUE(adapter.ok()) << adapter.status();
    return *adapter;
  }

  // Request i of a mix: greedy, of the base or of an adapter.
  GenerateRequest Request(int i, const kernels::PoolView& geometry) {
    std::mt19937 random(100 + static_cast<uint32_t>(i));
    std::uniform_int_distribution<int32_t> token(3, config_.vocabulary - 1);
    GenerateRequest request;
    request.request_id = absl::StrCat("r", i);
    request.tenant = "tenant";
    const std::vector<std::string> names = golden_.adapters();
    const size_t which = static_cast<size_t>(i) % (names.size() + 1);
    if (which > 0) request.adapter = Adapter(names[which - 1], geometry);
    for (int n = 0; n < 5 + 6 * i; ++n) request.prompt.push_back(token(random));
    request.max_tokens = 10;
    request.ignore_eos = true;
    request.sampling.temperature = 0.0f;
    request.sampling.num_logprobs = 2;
    return request;
  }

  const Golden golden_;
  TempDir dir_;
  engine::ModelConfig config_;
  kernels::SimOptions sim_;
  BackendSpec spec_;
  std::unique_ptr<SimDevice> device_;
  std::unique_ptr<SimLibraryOps> ops_;
  kernels::PoolView geometry_;
};

// The engine's thread takes its snapshot a moment after readers have heard of the end.
engine::EngineStats StatsWhen(EngineRun& run, bool (*there)(const engine::EngineStats&)) {
  engine::EngineStats stats;
  while (stats = run.engine().stats(), !there(stats) || stats.steps == 0) std::this_thread::yield();
  return stats;
}

float Logprob(uint32_t bits) { return std::bit_cast<float>(bits); }

TEST_F(EngineSimTest, AMixOfAdaptersHearsWhatTheCpuSaysWhereTheGapAllows) {
  constexpr int kRequests = 10;
  sim_.seed = 21;
  const std::unique_ptr<EngineRun> sim = OnSimulator();
  auto cpu = EngineRun::Start(dir_.path(), {.engine = spec_.engine, .dtype = DType::kBf16});
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  const TestPool cpu_geometry(DType::kBf16, config_.kv_heads, config_.head_dim, 1, config_.layers);
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_EQ(sim->Submit(Request(i, geometry_)), absl::OkStatus());
    ASSERT_EQ((*cpu)->Submit(Request(i, cpu_geometry.view())), absl::OkStatus());
  }
  sim->ListenToEnd();
  (*cpu)->ListenToEnd();
  int compared = 0;
  for (int i = 0; i < kRequests; ++i) {
    const HeardChoice& got = sim->heard(absl::StrCat("r", i))[0];
    const HeardChoice& want = (*cpu)->heard(absl::StrCat("r", i))[0];
    ASSERT_EQ(got.error, "") << i;
    ASSERT_EQ(got.tokens.size(), want.tokens.size()) << i;
    for (size_t t = 0; t < want.tokens.size(); ++t) {
      const auto& top = want.tokens[t].top;
      if (Logprob(top[0].second) - Logprob(top[1].second) > kGap) {
        EXPECT_EQ(got.tokens[t].id, want.tokens[t].id) << "request " << i << ", token " << t;
        ++compared;
      }
      if (got.tokens[t].id != want.tokens[t].id) break;  // from here on they are different texts
      EXPECT_NEAR(Logprob(got.tokens[t].logprob), Logprob(want.tokens[t].logprob), kGap);
    }
  }
  EXPECT_GE(compared, 30);
  EXPECT_EQ(StatsWhen(*sim, [](const engine::EngineStats& s) { return s.requests_running == 0; })
                .adapter_loads,
            golden_.adapters().size());
  EXPECT_EQ(device_->counters().allocations_after_seal, 0);
  EXPECT_GT(device_->counters().graph_replays, 0);
  EXPECT_EQ(device_->Finish(), absl::OkStatus());
}

TEST_F(EngineSimTest, EveryByteOfTheDeviceHasItsPurpose) {
  sim_.info.total_bytes = 48 << 20;
  spec_.memory.device_fraction = 0.9;
  const auto backend = MakeBackend();
  ASSERT_TRUE(backend.ok()) << backend.status();
  int64_t sum = 0;
  std::map<std::string, int64_t> shares;
  for (const engine::MemoryShare& share : backend->memory) {
    EXPECT_GE(share.bytes, 0) << share.of;
    sum += share.bytes;
    shares[share.of] = share.bytes;
  }
  EXPECT_EQ(sum, sim_.info.total_bytes);
  EXPECT_EQ(shares.at("weights"), backend->weights_bytes);
  EXPECT_GT(shares.at("lora"), 0);
  EXPECT_GT(shares.at("attention"), 0);
  EXPECT_GT(shares.at("activations"), 0);
  EXPECT_GT(shares.at("steps"), 0);
  EXPECT_GE(backend->pinned_bytes, spec_.memory.adapter_host_bytes);
  // The pool is what was left of the fraction, in whole pages.
  const auto wanted = static_cast<int64_t>(0.1 * static_cast<double>(sim_.info.total_bytes));
  const int64_t page_bytes = backend->pool.total_bytes() / backend->pool.num_ids;
  EXPECT_EQ(shares.at("pool"), backend->pool.total_bytes());
  EXPECT_NEAR(static_cast<double>(shares.at("reserve")), static_cast<double>(wanted),
              static_cast<double>(page_bytes + 256));
  EXPECT_EQ(shares.at("reserve"), *device_->FreeBytes());
  EXPECT_EQ(backend->pool.base, nullptr);
  EXPECT_EQ(backend->pool.b_tiles, kernels::BTileOrder::kFragments);
}

TEST_F(EngineSimTest, APoolOfTheSizeThatWasAskedFor) {
  spec_.memory.pool_bytes = 3 << 20;
  const auto backend = MakeBackend();
  ASSERT_TRUE(backend.ok()) << backend.status();
  const int64_t page_bytes = backend->pool.total_bytes() / backend->pool.num_ids;
  EXPECT_EQ(backend->pool.num_ids, (3 << 20) / page_bytes);
}

TEST_F(EngineSimTest, TooLittleMemoryIsSaidWithWhatIsNeededAndWhatThereIs) {
  sim_.info.total_bytes = 48 << 20;
  int64_t pool = 0;
  {
    const auto enough = MakeBackend();
    ASSERT_TRUE(enough.ok()) << enough.status();
    pool = enough->pool.total_bytes();
  }
  // Less than a step's tokens would be left.
  sim_.info.total_bytes -= static_cast<int64_t>(static_cast<double>(pool) / 0.92);
  const absl::Status pool_status = MakeBackend().status();
  EXPECT_EQ(pool_status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(pool_status.message(), HasSubstr("pool: expected at least "));
  EXPECT_THAT(pool_status.message(), HasSubstr(" are kept in reserve"));
  // Not even the weights fit.
  sim_.info.total_bytes = 100'000;
  const absl::Status weights_status = MakeBackend().status();
  EXPECT_EQ(weights_status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(weights_status.message(), HasSubstr("100000"));
}

// Somebody writes memory that is not the device's: sticky, as an error of a GPU is.
absl::Status Lose(SimDevice& device) {
  const auto stream = device.NewStream(kernels::Device::Priority::kNormal);
  EXPECT_TRUE(stream.ok());
  int somewhere = 0;
  (*stream)->Fill(&somewhere, 0, sizeof somewhere).IgnoreError();
  const absl::Status lost = device.Finish();
  EXPECT_EQ(lost.code(), absl::StatusCode::kInternal);
  return lost;
}

// Whether a step finds out or, where every request waits for an adapter, a load.
TEST_F(EngineSimTest, ALostDeviceEndsEveryRequestWithItsWords) {
  for (const bool base : {true, false}) {
    SCOPED_TRACE(base ? "a step" : "a load");
    const std::unique_ptr<EngineRun> sim = OnSimulator();
    ASSERT_EQ(sim->Submit(Request(0, geometry_)), absl::OkStatus());
    sim->ListenToEnd();
    const absl::Status lost = Lose(*device_);
    std::vector<std::string> ids;
    for (int i = 1; i < 4; ++i) {
      GenerateRequest request = Request(i, geometry_);
      if (base) request.adapter = nullptr;
      ids.push_back(request.request_id);
      // The second may come after the end.
      const absl::Status submitted = sim->Submit(request);
      if (!submitted.ok()) {
        EXPECT_EQ(submitted.code(), absl::StatusCode::kUnavailable);
        ids.pop_back();
      }
    }
    sim->ListenToEnd();
    ASSERT_FALSE(ids.empty());
    for (const std::string& id : ids) {
      const HeardChoice& heard = sim->heard(id)[0];
      EXPECT_EQ(heard.reason, engine::FinishReason::kError);
      EXPECT_THAT(heard.error, testing::AnyOf(std::string(lost.message()), HasSubstr("lost")));
    }
    const engine::EngineStats stats =
        StatsWhen(*sim, [](const engine::EngineStats& s) { return s.failed; });
    EXPECT_THAT(stats.failure, HasSubstr(std::string(lost.message())));
    EXPECT_EQ(sim->Submit(Request(5, geometry_)).code(), absl::StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace chorus::test
