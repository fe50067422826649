#include "server/metrics/server_metrics.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/request_meter.h"
#include "tests/server/metrics/metrics_fixture.h"

namespace chorus::test {
namespace {

using server::Method;
using server::RequestMeter;
using server::ServerState;
using server::UploadResult;

// Something in every family, so that each shows its labels.
void RecordEverything(MetricsFixture* fixture) {
  server::ServerMetrics& metrics = *fixture->metrics;
  metrics.CallEnded(Method::kGenerate, absl::StatusCode::kOk);
  metrics.Refused(engine::Reason::kAdapterRank);
  engine::AdapterResidency adapter;
  adapter.tenant = "default";
  adapter.name = "fr";
  adapter.state = engine::ResidencyState::kResident;
  fixture->stats.adapters = {adapter};
}

// Names, types and labels are what dashboards and alerts hold on to: this list changes only with
// them.
TEST(ServerMetricsTest, NamesTypesAndLabelsAreThoseOfTheList) {
  MetricsFixture fixture;
  RecordEverything(&fixture);
  std::vector<std::string> exported;
  for (const auto& [name, family] : fixture.Scrape()) {
    std::set<std::string> labels;
    for (const auto& [sample, value] : family.samples) {
      for (const auto& [label, text] : sample.second) labels.insert(label);
    }
    labels.erase("le");
    exported.push_back(absl::StrCat(name, " ", family.type, " {", absl::StrJoin(labels, ","), "}"));
  }
  std::vector<std::string> golden;
  std::ifstream file(std::string(CHORUS_SOURCE_DIR) + "/tests/server/metrics/names.txt");
  for (std::string line; std::getline(file, line);) golden.push_back(line);
  EXPECT_THAT(exported, ::testing::ElementsAreArray(golden)) << absl::StrJoin(exported, "\n");
}

TEST(ServerMetricsTest, EveryFamilyExplainsItself) {
  MetricsFixture fixture;
  for (const auto& [name, family] : fixture.Scrape()) {
    EXPECT_GT(family.help.size(), 5u) << name;
    EXPECT_EQ(absl::EndsWith(name, "_total"), family.type == "counter") << name;
  }
}

TEST(ServerMetricsTest, BucketsAreMonotoneAndEndInTheCount) {
  MetricsFixture fixture;
  fixture.load_seconds = {1e-5, 0.002, 0.02, 0.2, 2, 20, 200, 2000};
  RequestMeter meter(fixture.metrics.get(), {.tenant = "t",
                                             .adapter = "",
                                             .num_choices = 1,
                                             .max_tokens = 50,
                                             .arrival = fixture.clock.Now()});
  meter.Admitted(absl::Seconds(3), 33, 0);
  for (int i = 0; i < 30; ++i) {
    fixture.clock.Advance(absl::Milliseconds(1 << (i % 14)));
    meter.Tokens(0, 1, fixture.clock.Now());
  }
  meter.Ended(true, fixture.clock.Now());
  fixture.metrics->UploadEnded(UploadResult::kStored, 100, absl::Seconds(1));
  int histograms = 0;
  for (const auto& [name, family] : fixture.Scrape()) {
    if (family.type != "histogram") continue;
    ++histograms;
    std::map<double, double> buckets;
    for (const auto& [sample, value] : family.samples) {
      if (sample.first != name + "_bucket") continue;
      const std::string& le = sample.second.at("le");
      buckets[le == "+Inf" ? std::numeric_limits<double>::infinity() : std::stod(le)] = value;
    }
    ASSERT_GE(buckets.size(), 5u) << name;
    double last = 0;
    for (const auto& [bound, count] : buckets) {
      EXPECT_GE(count, last) << name << " at " << bound;
      last = count;
    }
    EXPECT_TRUE(std::isinf(buckets.rbegin()->first)) << name;
    EXPECT_GT(last, 0) << name;
    double count = -1;
    for (const auto& [sample, value] : family.samples) {
      if (sample.first == name + "_count") count = value;
    }
    EXPECT_EQ(count, last) << name;
  }
  EXPECT_EQ(histograms, 14);
}

// The bounds of one of the histograms, ascending.
std::vector<double> BoundsOf(const MetricsFixture& fixture, const std::string& name) {
  std::set<double> bounds;
  const auto families = fixture.Scrape();
  for (const auto& [sample, value] : families.at(name).samples) {
    const auto le = sample.second.find("le");
    if (le != sample.second.end() && le->second != "+Inf") bounds.insert(std::stod(le->second));
  }
  return {bounds.begin(), bounds.end()};
}

// A dashboard that adds up servers of both kinds needs the same bounds.
TEST(ServerMetricsTest, LatencyBucketsAreThoseOfVllm) {
  using ::testing::ElementsAre;
  MetricsFixture fixture;
  EXPECT_THAT(BoundsOf(fixture, "vllm:time_to_first_token_seconds"),
              ElementsAre(.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10,
                          20, 40, 80, 160, 640, 2560));
  for (const char* name :
       {"vllm:inter_token_latency_seconds", "vllm:request_time_per_output_token_seconds"}) {
    EXPECT_THAT(BoundsOf(fixture, name), ElementsAre(.01, .025, .05, .075, .1, .15, .2, .3, .4, .5,
                                                     .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80));
  }
  for (const char* name :
       {"vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds",
        "vllm:request_inference_time_seconds", "vllm:request_prefill_time_seconds",
        "vllm:request_decode_time_seconds"}) {
    EXPECT_THAT(BoundsOf(fixture, name), ElementsAre(.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30,
                                                     40, 50, 60, 120, 240, 480, 960, 1920, 7680));
  }
}

TEST(ServerMetricsTest, CountBucketsEndAtTheContext) {
  MetricsFixture fixture;  // 100 tokens
  std::set<std::string> bounds;
  const auto families = fixture.Scrape();
  for (const auto& [sample, value] : families.at("vllm:request_prompt_tokens").samples) {
    if (sample.second.count("le") > 0) bounds.insert(sample.second.at("le"));
  }
  EXPECT_THAT(bounds,
              ::testing::UnorderedElementsAre("1", "2", "5", "10", "20", "50", "100", "+Inf"));
}

TEST(ServerMetricsTest, CallsRefusalsAndUploadsAreCountedByResult) {
  MetricsFixture fixture;
  server::ServerMetrics& metrics = *fixture.metrics;
  metrics.CallEnded(Method::kGenerate, absl::StatusCode::kOk);
  metrics.CallEnded(Method::kGenerate, absl::StatusCode::kOk);
  metrics.CallEnded(Method::kGenerate, absl::StatusCode::kNotFound);
  metrics.CallEnded(Method::kDrain, absl::StatusCode::kOk);
  metrics.Refused(engine::Reason::kAdapterRank);
  metrics.UploadEnded(UploadResult::kStored, 1000, absl::Seconds(2));
  metrics.UploadEnded(UploadResult::kRefused, 500, absl::Seconds(9));
  metrics.SlowReaderCut();
  metrics.ConnectionAccepted();
  metrics.ConnectionRefused();
  EXPECT_EQ(fixture.Value("chorus_calls_total", {{"method", "Generate"}, {"code", "OK"}}), 2);
  EXPECT_EQ(fixture.Value("chorus_calls_total", {{"method", "Generate"}, {"code", "NOT_FOUND"}}),
            1);
  EXPECT_EQ(fixture.Value("chorus_calls_total", {{"method", "Drain"}, {"code", "OK"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_refusals_total", {{"reason", "ADAPTER_RANK"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_uploads_total", {{"result", "stored"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_uploads_total", {{"result", "refused"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_uploads_total", {{"result", "failed"}}), 0);
  EXPECT_EQ(fixture.Value("chorus_uploads_total", {{"result", "abandoned"}}), 0);
  EXPECT_EQ(fixture.Value("chorus_upload_bytes_total"), 1500);
  EXPECT_EQ(fixture.Value("chorus_upload_seconds_sum"), 2);
  EXPECT_EQ(fixture.Value("chorus_slow_readers_total"), 1);
  EXPECT_EQ(fixture.Value("chorus_connections_total", {{"result", "accepted"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_connections_total", {{"result", "refused"}}), 1);
}

TEST(ServerMetricsTest, EngineStatisticsAppearUnderTheirNames) {
  MetricsFixture fixture;
  engine::EngineStats& stats = fixture.stats;
  stats.requests_waiting = 1;
  stats.requests_running = 2;
  stats.sequences_running = 3;
  stats.pages_total = 200;
  stats.pages_free = 100;
  stats.pages_sequences = 40;
  stats.pages_prefixes = 30;
  stats.pages_adapters = 20;
  stats.pages_draining = 10;
  stats.steps = 11;
  stats.prompt_tokens = 12;
  stats.prompt_tokens_cached = 13;
  stats.prompt_tokens_looked_up = 14;
  stats.generation_tokens = 15;
  stats.preemptions = 16;
  stats.adapter_loads = 17;
  stats.adapter_load_failures = 18;
  stats.adapter_evictions = 19;
  stats.prefix_evictions = 20;
  stats.host_pages_total = 31;
  stats.host_pages_used = 8;
  stats.pages_saved = 23;
  stats.pages_restored = 24;
  stats.slow_readers = 21;
  stats.step_seconds = 22.5;
  stats.step_rows = 23;
  stats.recomputed_tokens = 27;
  stats.step_pages = 24;
  stats.step_adapters = 25;
  stats.step_ranks = 26;
  stats.failed = true;
  EXPECT_EQ(fixture.Value("vllm:num_requests_waiting"), 1);
  EXPECT_EQ(fixture.Value("vllm:num_requests_running"), 2);
  EXPECT_EQ(fixture.Value("chorus_sequences_running"), 3);
  EXPECT_EQ(fixture.Value("chorus_pool_pages", {{"owner", "free"}}), 100);
  EXPECT_EQ(fixture.Value("chorus_pool_pages", {{"owner", "sequences"}}), 40);
  EXPECT_EQ(fixture.Value("chorus_pool_pages", {{"owner", "prefixes"}}), 30);
  EXPECT_EQ(fixture.Value("chorus_pool_pages", {{"owner", "adapters"}}), 20);
  EXPECT_EQ(fixture.Value("chorus_pool_pages", {{"owner", "draining"}}), 10);
  EXPECT_EQ(
      fixture.Value("vllm:cache_config_info", {{"block_size", "16"}, {"num_gpu_blocks", "200"}}),
      1);
  EXPECT_EQ(fixture.Value("chorus_engine_steps_total"), 11);
  EXPECT_EQ(fixture.Value("chorus_engine_prompt_tokens_total"), 12);
  EXPECT_EQ(fixture.Value("vllm:prefix_cache_hits_total"), 13);
  EXPECT_EQ(fixture.Value("vllm:prefix_cache_queries_total"), 14);
  EXPECT_EQ(fixture.Value("chorus_engine_generation_tokens_total"), 15);
  EXPECT_EQ(fixture.Value("vllm:num_preemptions_total"), 16);
  EXPECT_EQ(fixture.Value("chorus_adapter_loads_total", {{"result", "loaded"}}), 17);
  EXPECT_EQ(fixture.Value("chorus_adapter_loads_total", {{"result", "failed"}}), 18);
  EXPECT_EQ(fixture.Value("chorus_adapter_evictions_total"), 19);
  EXPECT_EQ(fixture.Value("chorus_prefix_evictions_total"), 20);
  EXPECT_EQ(fixture.Value("chorus_kv_host_pages", {{"state", "used"}}), 8);
  EXPECT_EQ(fixture.Value("chorus_kv_host_pages", {{"state", "free"}}), 23);
  EXPECT_EQ(fixture.Value("chorus_kv_pages_saved_total"), 23);
  EXPECT_EQ(fixture.Value("chorus_kv_pages_restored_total"), 24);
  EXPECT_EQ(fixture.Value("chorus_stream_overflows_total"), 21);
  EXPECT_EQ(fixture.Value("chorus_engine_step_seconds_total"), 22.5);
  EXPECT_EQ(fixture.Value("chorus_engine_step_rows_total"), 23);
  EXPECT_EQ(fixture.Value("chorus_engine_recomputed_tokens_total"), 27);
  EXPECT_EQ(fixture.Value("chorus_engine_step_pages_total"), 24);
  EXPECT_EQ(fixture.Value("chorus_engine_step_adapters_total"), 25);
  EXPECT_EQ(fixture.Value("chorus_engine_step_ranks_total"), 26);
  EXPECT_EQ(fixture.Value("chorus_engine_failed"), 1);
}

TEST(ServerMetricsTest, PoolUsageLeavesOutWhatCanBeEvicted) {
  MetricsFixture fixture;
  EXPECT_EQ(fixture.Value("vllm:kv_cache_usage_perc"), 0);  // no pool yet
  fixture.stats.pages_total = 100;
  fixture.stats.pages_sequences = 20;
  fixture.stats.pages_draining = 5;
  fixture.stats.pages_prefixes = 40;
  fixture.stats.pages_adapters = 27;
  const auto adapter = [](engine::ResidencyState state, int64_t pages) {
    engine::AdapterResidency residency;
    residency.state = state;
    residency.pages = pages;
    return residency;
  };
  using engine::ResidencyState;
  fixture.stats.adapters = {
      adapter(ResidencyState::kResident, 16), adapter(ResidencyState::kResident, 1),
      adapter(ResidencyState::kResident, 2),  adapter(ResidencyState::kResident, 4),
      adapter(ResidencyState::kLoading, 3),   adapter(ResidencyState::kCancelling, 1)};
  fixture.stats.adapters[1].running = 1;
  fixture.stats.adapters[2].pinned = true;
  fixture.stats.adapters[3].waiting = 1;
  EXPECT_DOUBLE_EQ(fixture.Value("vllm:kv_cache_usage_perc"), 0.36);
  EXPECT_EQ(fixture.Value("chorus_adapters", {{"state", "resident"}}), 4);
  EXPECT_EQ(fixture.Value("chorus_adapters", {{"state", "loading"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_adapters", {{"state", "cancelling"}}), 1);
  EXPECT_EQ(fixture.Value("chorus_adapters", {{"state", "wanted"}}), 0);
}

TEST(ServerMetricsTest, LoadTimesAreTakenOnceAndKept) {
  MetricsFixture fixture;
  fixture.load_seconds = {0.002, 0.2};
  EXPECT_EQ(fixture.Value("vllm:lora_adapter_load_seconds_count"), 2);
  EXPECT_EQ(fixture.Value("vllm:lora_adapter_load_seconds_count"), 2);
  fixture.load_seconds = {3};
  EXPECT_EQ(fixture.Value("vllm:lora_adapter_load_seconds_count"), 3);
  EXPECT_DOUBLE_EQ(fixture.Value("vllm:lora_adapter_load_seconds_sum"), 3.202);
  EXPECT_EQ(fixture.Value("vllm:lora_adapter_load_seconds_bucket", {{"le", "0.0025"}}), 1);
}

TEST(ServerMetricsTest, ExactlyOneStateIsOn) {
  MetricsFixture fixture;
  const std::vector<std::pair<ServerState, std::string>> states = {
      {ServerState::kStarting, "starting"},
      {ServerState::kReady, "ready"},
      {ServerState::kDraining, "draining"},
      {ServerState::kFailed, "failed"}};
  for (const auto& [state, name] : states) {
    fixture.metrics->SetState(state);
    for (const auto& [other, other_name] : states) {
      EXPECT_EQ(fixture.Value("chorus_server_state", {{"state", other_name}}),
                state == other ? 1 : 0);
    }
  }
}

TEST(ServerMetricsTest, TheProcessIsDescribed) {
  MetricsFixture fixture;
  const double rss = fixture.Value("process_resident_memory_bytes");
  EXPECT_GT(rss, 1e6);
  EXPECT_GT(fixture.Value("process_virtual_memory_bytes"), rss);
  const double started = fixture.Value("process_start_time_seconds");
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LE(started, now + 2);
  EXPECT_GT(started, now - 3600);
  EXPECT_GE(fixture.Value("process_cpu_seconds_total"), 0);
  const double fds = fixture.Value("process_open_fds");
  std::ifstream one_more("/proc/self/stat");
  EXPECT_EQ(fixture.Value("process_open_fds"), fds + 1);
  EXPECT_GE(fixture.Value("process_max_fds"), fds);
  EXPECT_EQ(fixture.Value("chorus_build_info", {{"version", "1.2.3"}}), 1);
}

TEST(ServerMetricsTest, ModelNamesWithQuotesStayOneLabel) {
  server::MetricsOptions options = MetricsFixture::DefaultOptions();
  options.model_name = "a\"b\\c";
  MetricsFixture fixture(options);
  const auto families = fixture.Scrape();
  const auto& samples = families.at("vllm:num_requests_running").samples;
  EXPECT_EQ(samples.begin()->first.second.at("model_name"), "a\"b\\c");
}

}  // namespace
}  // namespace chorus::test
