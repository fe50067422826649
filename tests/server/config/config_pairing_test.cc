// Every field of chorus.v1.Config has its flag, and reaches its own place in ServerConfig.
#include <map>
#include <utility>

#include "chorus/v1/config.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "server/config/config_file.h"
#include "server/config/options.h"
#include "tests/server/config/arguments.h"

namespace chorus::test {
namespace {

namespace pb = google::protobuf;
using pb::util::MessageDifferencer;
using server::CommandLine;
using server::ServerConfig;

// No value is a default, and no two fields of a type have the same one.
const std::vector<std::pair<std::string, std::string>>& Settings() {
  static const auto* const settings = new std::vector<std::pair<std::string, std::string>>{
      {"model", "/models/tiny"},
      {"served-model-name", "tiny"},
      {"dtype", "f32"},
      {"device", "cpu"},
      {"generation-config", "none"},
      {"chat-template", "chat.jinja"},
      {"isolate-special-tokens", "true"},
      {"listen", "127.0.0.1:1001"},
      {"metrics-listen", "127.0.0.1:1002"},
      {"port-file", "ports"},
      {"pool-bytes", "3GiB"},
      {"device-memory-fraction", "0.9"},
      {"adapter-host-bytes", "7GiB"},
      {"kv-host-bytes", "6GiB"},
      {"threads", "7"},
      {"store", "/store"},
      {"allow-volatile-store", "true"},
      {"max-adapter-bytes", "5GiB"},
      {"max-uploads", "17"},
      {"admission", "conservative"},
      {"max-running", "65"},
      {"max-step-tokens", "513"},
      {"max-prefill-chunk", "257"},
      {"max-step-adapters", "66"},
      {"max-step-rank-sum", "4097"},
      {"max-waiting", "4098"},
      {"max-overtakes", "18"},
      {"cluster-adapters", "9"},
      {"tenant-weights", "acme=2,trial=0.5"},
      {"adapter-page-price", "3.5"},
      {"first-token-limit-ms", "2501"},
      {"early-abort", "true"},
      {"admission-watermark", "0.03"},
      {"pin-budget", "0.26"},
      {"prefix-cache", "false"},
      {"max-loads", "5"},
      {"loader-threads", "3"},
      {"max-load-bytes", "2GiB"},
      {"max-connections", "1025"},
      {"stall-limit-ms", "5001"},
      {"drain-delay-ms", "1"},
      {"drain-timeout-ms", "30001"},
      {"experiment-reclaim-policy", "lru"},
      {"experiment-idle-adapters", "false"},
      {"experiment-prefetch", "false"},
      {"experiment-adapter-pool-share", "0.4"},
      {"experiment-lora-compute", "false"},
      {"experiment-pad-rank", "64"},
  };
  return *settings;
}

std::vector<std::string> AllFlags() {
  std::vector<std::string> words;
  for (const auto& [flag, value] : Settings()) words.push_back("--" + flag + "=" + value);
  return words;
}

// What --check-config prints, parsed.
v1::Config Checked(std::vector<std::string> words) {
  words.push_back("--check-config");
  const auto line = Parse(words);
  EXPECT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kCheck);
  const TemporaryFile file(line->text);
  const auto config = server::ReadConfigFile(file.path());
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

TEST(ConfigPairingTest, EveryFieldHasItsFlagAndEveryFlagItsField) {
  const pb::Descriptor* descriptor = v1::Config::descriptor();
  ASSERT_EQ(static_cast<size_t>(descriptor->field_count()), server::AllOptions().size());
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const pb::FieldDescriptor* field = descriptor->field(i);
    const server::Option& option = server::AllOptions()[static_cast<size_t>(i)];
    EXPECT_EQ(option.name, field->name());
    EXPECT_TRUE(field->has_optional_keyword()) << field->name();
    EXPECT_EQ(option.is_switch(), field->type() == pb::FieldDescriptor::TYPE_BOOL) << option.name;
    EXPECT_EQ(server::FindOption(field->name()), &option);
    EXPECT_EQ(server::FindOption(option.flag().substr(2)), &option);
  }
}

TEST(ConfigPairingTest, FlagsReachTheirFields) {
  const auto line = Parse(AllFlags());
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kRun);
  const ServerConfig& config = line->config;
  EXPECT_EQ(config.model, "/models/tiny");
  EXPECT_EQ(config.served_model_name, "tiny");
  EXPECT_EQ(config.dtype, server::ComputeType::kF32);
  EXPECT_EQ(config.device, "cpu");
  EXPECT_EQ(config.generation_config, server::GenerationDefaults::kNone);
  EXPECT_EQ(config.chat_template, "chat.jinja");
  EXPECT_TRUE(config.isolate_special_tokens);
  EXPECT_EQ(config.listen, "127.0.0.1:1001");
  EXPECT_EQ(config.metrics_listen, "127.0.0.1:1002");
  EXPECT_EQ(config.port_file, "ports");
  EXPECT_EQ(config.memory.pool_bytes, int64_t{3} << 30);
  EXPECT_EQ(config.memory.device_fraction, 0.9);
  EXPECT_EQ(config.memory.adapter_host_bytes, int64_t{7} << 30);
  EXPECT_EQ(config.memory.kv_host_bytes, int64_t{6} << 30);
  EXPECT_EQ(config.threads, 7);
  EXPECT_EQ(config.store, "/store");
  EXPECT_TRUE(config.allow_volatile_store);
  EXPECT_EQ(config.catalog.max_tensor_bytes, uint64_t{5} << 30);
  EXPECT_EQ(config.catalog.max_uploads, 17);
  EXPECT_EQ(config.engine.admission, engine::AdmissionMode::kConservative);
  EXPECT_EQ(config.engine.max_running, 65);
  EXPECT_EQ(config.engine.max_step_tokens, 513);
  EXPECT_EQ(config.engine.max_prefill_chunk, 257);
  EXPECT_EQ(config.engine.max_step_adapters, 66);
  EXPECT_EQ(config.engine.max_step_rank_sum, 4097);
  EXPECT_EQ(config.engine.max_waiting, 4098);
  EXPECT_EQ(config.engine.max_overtakes, 18);
  EXPECT_EQ(config.engine.cluster_adapters, 9);
  EXPECT_EQ(config.engine.tenant_weights,
            (std::map<std::string, double>{{"acme", 2.0}, {"trial", 0.5}}));
  EXPECT_EQ(config.engine.adapter_page_price, 3.5);
  EXPECT_EQ(config.engine.first_token_limit_ms, 2501);
  EXPECT_TRUE(config.engine.early_abort);
  EXPECT_EQ(config.engine.admission_watermark, 0.03);
  EXPECT_EQ(config.engine.pin_budget, 0.26);
  EXPECT_FALSE(config.engine.prefix_cache);
  EXPECT_EQ(config.engine.max_loads, 5);
  EXPECT_EQ(config.engine.loader_threads, 3);
  EXPECT_EQ(config.engine.max_load_bytes, int64_t{2} << 30);
  EXPECT_EQ(config.max_connections, 1025);
  EXPECT_EQ(config.stall_limit_ms, 5001);
  EXPECT_EQ(config.drain_delay_ms, 1);
  EXPECT_EQ(config.drain_timeout_ms, 30001);
  EXPECT_EQ(config.engine.reclaim_policy, engine::ReclaimPolicy::kLru);
  EXPECT_FALSE(config.engine.cache_idle_adapters);
  EXPECT_FALSE(config.engine.prefetch_adapters);
  EXPECT_EQ(config.engine.adapter_pool_share, 0.4);
  EXPECT_FALSE(config.engine.lora_compute);
  EXPECT_EQ(config.experiment_pad_rank, 64);
}

// …and the list above leaves no field out, and none at its default.
TEST(ConfigPairingTest, TheSettingsChangeEveryField) {
  const auto line = Parse(AllFlags());
  ASSERT_TRUE(line.ok()) << line.status();
  ASSERT_EQ(Settings().size(), server::AllOptions().size());
  for (const server::Option& option : server::AllOptions()) {
    EXPECT_NE(option.print(line->config), option.print(ServerConfig{})) << option.name;
  }
}

TEST(ConfigPairingTest, CheckedConfigurationReadsBackTheSameAsTextAndAsJson) {
  const v1::Config checked = Checked(AllFlags());
  std::string json;
  ASSERT_TRUE(pb::util::MessageToJsonString(checked, &json).ok());
  const TemporaryFile as_text(checked.DebugString());
  const TemporaryFile as_json(json);
  for (const TemporaryFile* file : {&as_text, &as_json}) {
    const v1::Config again = Checked({"--config", file->path()});
    EXPECT_TRUE(MessageDifferencer::Equals(again, checked)) << again.DebugString();
  }
}

TEST(ConfigPairingTest, DefaultsAreThoseOfTheStructs) {
  const v1::Config defaults = Checked({"--model=/models/tiny/"});
  ServerConfig config;
  config.model = "/models/tiny/";
  config.Resolve();
  EXPECT_TRUE(MessageDifferencer::Equals(defaults, server::ToConfigProto(config)));
  EXPECT_EQ(defaults.served_model_name(), "tiny");
  EXPECT_EQ(defaults.listen(), "127.0.0.1:50051");
  EXPECT_EQ(defaults.metrics_listen(), "127.0.0.1:9464");
  EXPECT_FALSE(defaults.has_pool_bytes());
  EXPECT_EQ(defaults.device(), "auto");
  EXPECT_EQ(defaults.device_memory_fraction(), 0.92);
  EXPECT_GE(defaults.threads(), 1);
  EXPECT_EQ(defaults.max_adapter_bytes(), "4GiB");
  EXPECT_EQ(defaults.max_running(), engine::EngineOptions{}.max_running);
  EXPECT_EQ(defaults.admission_watermark(), engine::EngineOptions{}.admission_watermark);
  EXPECT_EQ(defaults.stall_limit_ms(), 5000);
  EXPECT_EQ(defaults.drain_delay_ms(), 0);
  EXPECT_EQ(defaults.drain_timeout_ms(), 30000);
  EXPECT_FALSE(defaults.has_chat_template());
  EXPECT_FALSE(defaults.has_port_file());
}

TEST(ConfigPairingTest, ExperimentsThatAreOnAreNamedAndNoOthers) {
  EXPECT_TRUE(server::ActiveExperiments(ServerConfig{}).empty());
  const auto line = Parse({"--model=m", "--max-running=65", "--no-experiment-lora-compute",
                           "--experiment-pad-rank=64"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(
      server::ActiveExperiments(line->config),
      ::testing::ElementsAre("--experiment-lora-compute=false", "--experiment-pad-rank=64"));
}

}  // namespace
}  // namespace chorus::test
