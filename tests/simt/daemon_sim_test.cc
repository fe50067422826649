// chorusd as it runs on a GPU, on the simulator: everything from gRPC down to the kernels, and what
// only a simulator can be made to do.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/daemon_contract.h"
#include "tests/server/grpc/served.h"
#include "tests/simt/sim_daemon_devices.h"
#include "tests/support/serving_dir.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {

std::vector<DaemonDevice> DaemonDevices() {
  using kernels::SimOrder;
  const auto in = [](SimOrder order) {
    return [order]() -> absl::StatusOr<server::ServingDevice> {
      return ServingSimulator({.order = order, .seed = 5});
    };
  };
  return {{.name = "Sim_lazy", .dtype = "bf16", .open = in(SimOrder::kLazy)},
          {.name = "Sim_random", .dtype = "bf16", .open = in(SimOrder::kRandom)}};
}

namespace {

TEST(DaemonSimTest, TooLittleMemoryIsRefusedWithTheFlagsThatHelp) {
  TempDir dir;
  WriteServingDir(dir.path());
  server::ServerConfig config = SmallDaemon();
  config.model = dir.path();
  config.served_model_name = "base";
  config.store = dir.path() + "/store";
  config.memory.pool_bytes = 0;
  config.memory.device_fraction = 0.001;
  const absl::Status refused = server::Daemon::Start(config, ServingSimulator({})).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  for (const char* words :
       {"pool: expected at least ", "; what helps: a larger --device-memory-fraction than 0.001",
        "a smaller --max-step-tokens than 64"}) {
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr(words));
  }
}

TEST(DaemonSimTest, ALostDeviceEndsTheProcessWithItsWords) {
  server::ServingDevice serving = ServingSimulator({.seed = 5});
  auto* const device = static_cast<kernels::SimDevice*>(serving.device.get());
  Served served(SmallDaemon(), std::move(serving));
  ASSERT_TRUE(served.Generate(TextRequest("base", "once", 4)).status.ok());
  served.ExpectFailure();
  const auto stream = device->NewStream(kernels::Device::Priority::kNormal);
  ASSERT_TRUE(stream.ok());
  int somewhere = 0;
  (*stream)->Fill(&somewhere, 0, sizeof somewhere).IgnoreError();
  ASSERT_FALSE(device->Finish().ok());
  EXPECT_FALSE(served.Generate(TextRequest("base", "once", 4)).status.ok());
  const absl::Status failure = served.Failure();
  EXPECT_EQ(failure.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(failure.message()),
              testing::StartsWith("the engine has failed: INTERNAL: sim: "));
}

}  // namespace
}  // namespace chorus::test
