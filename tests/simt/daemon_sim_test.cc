// chorusd as it runs on a GPU, on the simulator: everything from gRPC down to the kernels.
#include "engine/backend/device_backend.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/served.h"
#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"
#include "tests/support/serving_dir.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using kernels::SimDevice;

class DaemonSimTest : public testing::Test {
 protected:
  server::ServingDevice Simulator() {
    server::ServingDevice serving;
    auto device = std::make_unique<SimDevice>(kernels::SimOptions{.seed = 5});
    device_ = device.get();
    serving.ops = std::make_unique<SimLibraryOps>(device.get());
    serving.name = "sim";
    serving.why = "a test";
    serving.make_backend = [sim = device.get(),
                            ops = serving.ops.get()](const engine::BackendSpec& spec) {
      return engine::MakeDeviceBackend(sim, ops, spec);
    };
    serving.device = std::move(device);
    return serving;
  }

  static server::ServerConfig Config() {
    server::ServerConfig config;
    config.engine.max_running = 8;
    config.engine.max_step_tokens = 64;
    config.memory.pool_bytes = 4 << 20;
    config.memory.adapter_host_bytes = 8 << 20;
    return config;
  }

  SimDevice* device_ = nullptr;
};

TEST_F(DaemonSimTest, AnswersWithAdaptersThatWereUploaded) {
  Served served(Config(), Simulator());
  v1::ServerInfo info;
  grpc::ClientContext context;
  ASSERT_TRUE(served.admin().GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.device(), "sim");
  EXPECT_EQ(info.dtype(), "bf16");
  EXPECT_GT(info.weight_bytes(), 0);
  std::vector<std::string> models = {"base", "a", "b"};
  for (size_t i = 1; i < models.size(); ++i) {
    const grpc::Status stored = served.Upload(models[i], served.MakeAdapter(i, 8 * int(i)));
    ASSERT_TRUE(stored.ok()) << stored.error_message();
  }
  std::vector<std::vector<int32_t>> alone;
  for (const std::string& model : models) {
    const Served::Answer answer = served.Generate(TextRequest(model, "the quick brown fox", 8));
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.ids.size(), 8u);
    for (const std::vector<int32_t>& other : alone) EXPECT_NE(answer.ids, other);
    alone.push_back(answer.ids);
  }
  // Greedy answers do not change because the adapter is there already, or the prefix.
  for (size_t i = 0; i < models.size(); ++i) {
    const Served::Answer again = served.Generate(TextRequest(models[i], "the quick brown fox", 8));
    ASSERT_TRUE(again.status.ok()) << again.status.error_message();
    EXPECT_EQ(again.ids, alone[i]) << models[i];
  }
  EXPECT_EQ(device_->counters().allocations_after_seal, 0);
  EXPECT_EQ(device_->Finish(), absl::OkStatus());
}

TEST_F(DaemonSimTest, TooLittleMemoryIsRefusedWithTheFlagsThatHelp) {
  TempDir dir;
  WriteServingDir(dir.path());
  server::ServerConfig config = Config();
  config.model = dir.path();
  config.served_model_name = "base";
  config.store = dir.path() + "/store";
  config.memory.pool_bytes = 0;
  config.memory.device_fraction = 0.001;
  const absl::Status refused = server::Daemon::Start(config, Simulator()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  for (const char* words :
       {"pool: expected at least ", "; what helps: a larger --device-memory-fraction than 0.001",
        "a smaller --max-step-tokens than 64"}) {
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr(words));
  }
}

TEST_F(DaemonSimTest, ALostDeviceEndsTheProcessWithItsWords) {
  Served served(Config(), Simulator());
  ASSERT_TRUE(served.Generate(TextRequest("base", "once", 4)).status.ok());
  served.ExpectFailure();
  const auto stream = device_->NewStream(kernels::Device::Priority::kNormal);
  ASSERT_TRUE(stream.ok());
  int somewhere = 0;
  (*stream)->Fill(&somewhere, 0, sizeof somewhere).IgnoreError();
  const absl::Status lost = device_->Finish();
  ASSERT_FALSE(lost.ok());
  EXPECT_FALSE(served.Generate(TextRequest("base", "once", 4)).status.ok());
  const absl::Status failure = served.Failure();
  EXPECT_EQ(failure.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(failure.message()),
              testing::StartsWith("the engine has failed: INTERNAL: sim: "));
}

}  // namespace
}  // namespace chorus::test
