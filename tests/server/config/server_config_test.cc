#include "server/config/server_config.h"

#include <limits>
#include <ostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/lora/tiles.h"
#include "tests/server/config/arguments.h"

namespace chorus::test {
namespace {

using server::ServerConfig;
using ::testing::HasSubstr;
using ::testing::StartsWith;

ServerConfig Good() {
  ServerConfig config;
  config.model = "/models/tiny";
  return config;
}

std::string Problem(const ServerConfig& config) {
  const absl::Status status = config.Validate();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(ServerConfigTest, DefaultsAreValidOnceAModelIsNamed) {
  EXPECT_TRUE(Good().Validate().ok()) << Good().Validate();
  EXPECT_EQ(Problem(ServerConfig{}), "--model: expected a model's directory, got none");
}

TEST(ServerConfigTest, ResolveFillsInNameAndThreads) {
  for (const auto& [model, name] : std::vector<std::pair<std::string, std::string>>{
           {"/models/tiny", "tiny"}, {"tiny/", "tiny"}, {"a/b//", "b"}, {"tiny", "tiny"}}) {
    ServerConfig config;
    config.model = model;
    config.Resolve();
    EXPECT_EQ(config.served_model_name, name) << model;
    EXPECT_GE(config.threads, 1);
    EXPECT_TRUE(config.Validate().ok()) << config.Validate();
  }
  ServerConfig config = Good();
  config.served_model_name = "org/base";
  config.threads = 3;
  config.Resolve();
  EXPECT_EQ(config.served_model_name, "org/base");
  EXPECT_EQ(config.threads, 3);
}

TEST(ServerConfigTest, ServedNamesThatReadAsSomethingElseAreRefused) {
  for (const std::string& name :
       {std::string("a@2"), std::string("sha256:00"), std::string("two words"), std::string("a,b"),
        std::string("n\nl"), std::string("caf\xc3\xa9"), std::string(129, 'x')}) {
    ServerConfig config = Good();
    config.served_model_name = name;
    EXPECT_THAT(Problem(config), StartsWith("--served-model-name: expected ")) << name;
  }
  ServerConfig config;
  config.model = "/models/two words";  // the name that follows from it is no better
  EXPECT_THAT(Problem(config), StartsWith("--served-model-name: expected "));
  config.model = "/";
  EXPECT_THAT(Problem(config), StartsWith("--served-model-name: expected "));
}

TEST(ServerConfigTest, OnlyThisMachineCanConnect) {
  for (const char* address : {"0.0.0.0:50051", "[::]:50051", "192.168.1.1:50051"}) {
    ServerConfig config = Good();
    config.listen = address;
    EXPECT_EQ(Problem(config),
              std::string("--listen: expected a loopback address (127.0.0.1, [::1]), because calls "
                          "are not authenticated, got \"") +
                  address + "\"");
    config = Good();
    config.metrics_listen = address;
    EXPECT_THAT(Problem(config), StartsWith("--metrics-listen: expected a loopback address"));
  }
}

TEST(ServerConfigTest, AddressesThatSuitEachPurpose) {
  ServerConfig config = Good();
  config.listen = "unix:/run/chorus.sock";
  config.metrics_listen = "none";
  EXPECT_TRUE(config.Validate().ok());
  config.metrics_listen = "unix:/run/metrics.sock";
  EXPECT_THAT(Problem(config), StartsWith("--metrics-listen: expected an IPv4 HOST:PORT"));
  config.metrics_listen = "[::1]:0";
  EXPECT_THAT(Problem(config), StartsWith("--metrics-listen: expected an IPv4 HOST:PORT"));
  config.listen = "none";
  config.metrics_listen = "none";
  EXPECT_THAT(Problem(config), StartsWith("--listen: expected HOST:PORT"));
  config.listen = "127.0.0.1:7000";
  config.metrics_listen = "localhost:7000";
  EXPECT_THAT(Problem(config), HasSubstr("another address than --listen"));
  config.listen = config.metrics_listen = "127.0.0.1:0";
  EXPECT_TRUE(config.Validate().ok());
}

TEST(ServerConfigTest, DevicesAreNamedAsCudaCountsThem) {
  for (const char* device : {"auto", "cpu", "cuda", "cuda:0", "cuda:15"}) {
    ServerConfig config = Good();
    config.device = device;
    EXPECT_TRUE(config.Validate().ok()) << config.Validate();
  }
  for (const char* device : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:12345", "CPU", "cuda0"}) {
    ServerConfig config = Good();
    config.device = device;
    EXPECT_EQ(Problem(config),
              std::string("--device: expected one of auto, cpu, cuda, cuda:N, got ") + device);
  }
}

TEST(ServerConfigTest, TypesThatTheDeviceLacksAreRefusedByName) {
  ServerConfig config = Good();
  config.device = "cpu";
  config.dtype = server::ComputeType::kF16;
  EXPECT_EQ(Problem(config), "--dtype: expected auto, bf16 or f32 with --device=cpu, got f16");
  config.device = "cuda:1";
  EXPECT_TRUE(config.Validate().ok());
  config.dtype = server::ComputeType::kF32;
  EXPECT_EQ(Problem(config), "--dtype: expected auto, bf16 or f16 with --device=cuda:1, got f32");
  config.device = "auto";  // only the start knows what it comes to
  EXPECT_TRUE(config.Validate().ok());
}

TEST(ServerConfigTest, ThePoolsSizeMayBeLeftOpenButNotBeNothing) {
  EXPECT_EQ(Good().memory.pool_bytes, 0);
  const auto line = Parse({"--model=m", "--pool-bytes=0"});
  EXPECT_THAT(line.status().message(),
              HasSubstr("--pool-bytes: expected a size from 1MiB to 16TiB, got \"0\""));
}

struct OutOfRange {
  const char* flag;
  void (*set)(ServerConfig*);
  friend std::ostream& operator<<(std::ostream& out, const OutOfRange& o) { return out << o.flag; }
};

class ServerConfigRangeTest : public testing::TestWithParam<OutOfRange> {};

TEST_P(ServerConfigRangeTest, ValueBeyondTheRangeIsRefusedByFlag) {
  ServerConfig config = Good();
  GetParam().set(&config);
  EXPECT_THAT(Problem(config), StartsWith(std::string(GetParam().flag) + ": expected "));
}

INSTANTIATE_TEST_SUITE_P(
    All, ServerConfigRangeTest,
    testing::Values(
        OutOfRange{"--pool-bytes", [](ServerConfig* c) { c->memory.pool_bytes = (1 << 20) - 1; }},
        OutOfRange{"--pool-bytes", [](ServerConfig* c) { c->memory.pool_bytes = -1; }},
        OutOfRange{"--device-memory-fraction",
                   [](ServerConfig* c) { c->memory.device_fraction = 1.0; }},
        OutOfRange{"--adapter-host-bytes",
                   [](ServerConfig* c) { c->memory.adapter_host_bytes = 0; }},
        OutOfRange{"--device", [](ServerConfig* c) { c->device = "cuda:"; }},
        OutOfRange{"--threads", [](ServerConfig* c) { c->threads = -1; }},
        OutOfRange{"--threads", [](ServerConfig* c) { c->threads = 1025; }},
        OutOfRange{"--max-adapter-bytes", [](ServerConfig* c) { c->catalog.max_tensor_bytes = 9; }},
        OutOfRange{"--max-adapter-bytes",
                   [](ServerConfig* c) { c->catalog.max_tensor_bytes = ~uint64_t{0}; }},
        OutOfRange{"--max-uploads", [](ServerConfig* c) { c->catalog.max_uploads = 0; }},
        OutOfRange{"--max-running", [](ServerConfig* c) { c->engine.max_running = 0; }},
        OutOfRange{"--max-step-tokens", [](ServerConfig* c) { c->engine.max_step_tokens = 63; }},
        OutOfRange{"--max-prefill-chunk", [](ServerConfig* c) { c->engine.max_prefill_chunk = 0; }},
        OutOfRange{"--max-step-adapters", [](ServerConfig* c) { c->engine.max_step_adapters = 0; }},
        OutOfRange{
            "--max-step-rank-sum",
            [](ServerConfig* c) { c->engine.max_step_rank_sum = kernels::kMaxLoraRank - 1; }},
        OutOfRange{"--max-waiting", [](ServerConfig* c) { c->engine.max_waiting = -1; }},
        OutOfRange{"--max-overtakes", [](ServerConfig* c) { c->engine.max_overtakes = -1; }},
        OutOfRange{"--cluster-adapters", [](ServerConfig* c) { c->engine.cluster_adapters = -1; }},
        OutOfRange{"--tenant-weights",
                   [](ServerConfig* c) {
                     c->engine.tenant_weights = {{"good", 1.0}, {"bad", 0.0}};
                   }},
        OutOfRange{"--adapter-page-price",
                   [](ServerConfig* c) { c->engine.adapter_page_price = -0.5; }},
        OutOfRange{"--first-token-limit-ms",
                   [](ServerConfig* c) { c->engine.first_token_limit_ms = -1; }},
        OutOfRange{"--admission-watermark",
                   [](ServerConfig* c) { c->engine.admission_watermark = 1.0; }},
        OutOfRange{"--pin-budget", [](ServerConfig* c) { c->engine.pin_budget = -0.1; }},
        OutOfRange{"--pin-budget",
                   [](ServerConfig* c) {
                     c->engine.pin_budget = std::numeric_limits<double>::quiet_NaN();
                   }},
        OutOfRange{"--max-loads", [](ServerConfig* c) { c->engine.max_loads = 0; }},
        OutOfRange{"--loader-threads", [](ServerConfig* c) { c->engine.loader_threads = 0; }},
        OutOfRange{"--max-load-bytes", [](ServerConfig* c) { c->engine.max_load_bytes = 0; }},
        OutOfRange{"--experiment-adapter-pool-share",
                   [](ServerConfig* c) { c->engine.adapter_pool_share = 1.0; }},
        OutOfRange{"--max-connections", [](ServerConfig* c) { c->max_connections = 0; }},
        OutOfRange{"--stall-limit-ms", [](ServerConfig* c) { c->stall_limit_ms = 0; }},
        OutOfRange{"--drain-delay-ms", [](ServerConfig* c) { c->drain_delay_ms = -1; }},
        OutOfRange{"--drain-timeout-ms", [](ServerConfig* c) { c->drain_timeout_ms = -1; }},
        OutOfRange{"--store", [](ServerConfig* c) { c->store.clear(); }}));

}  // namespace
}  // namespace chorus::test
