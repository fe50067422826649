// However many adapters there are, few of them have series.
#include <set>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/request_meter.h"
#include "tests/server/metrics/metrics_fixture.h"

namespace chorus::test {
namespace {

using engine::AdapterResidency;
using engine::ResidencyState;
using server::RequestMeter;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class AdapterLabelsTest : public testing::Test {
 protected:
  RequestMeter Begin(const std::string& adapter, const std::string& tenant = "default") {
    RequestMeter meter(fixture_.metrics.get(), {.tenant = tenant,
                                                .adapter = adapter,
                                                .num_choices = 1,
                                                .max_tokens = 8,
                                                .arrival = fixture_.clock.Now()});
    meter.Admitted(absl::ZeroDuration(), 1, 0);
    return meter;
  }
  void Request(const std::string& adapter) { Begin(adapter).Ended(true, fixture_.clock.Now()); }
  std::set<std::string> Labelled() const {
    std::set<std::string> names;
    const auto families = fixture_.Scrape();
    for (const auto& [sample, value] : families.at("chorus_adapter_requests_total").samples) {
      names.insert(sample.second.at("adapter"));
    }
    return names;
  }
  double Requests(const std::string& adapter) const {
    const bool other = adapter == "other";
    return fixture_.Value("chorus_adapter_requests_total",
                          {{"tenant", other ? "" : "default"}, {"adapter", adapter}});
  }

  MetricsFixture fixture_;  // four labels
};

TEST_F(AdapterLabelsTest, AThousandAdaptersShareFewLabels) {
  for (int i = 0; i < 1000; ++i) {
    Request("a" + std::to_string(i));
    fixture_.clock.Advance(absl::Milliseconds(1));
  }
  EXPECT_THAT(Labelled(), UnorderedElementsAre("a0", "a1", "a2", "a3", "other"));
  EXPECT_EQ(Requests("a0"), 1);
  EXPECT_EQ(Requests("other"), 996);
}

TEST_F(AdapterLabelsTest, TheLabelIdleForLongestMakesRoom) {
  for (const char* name : {"a", "b", "c", "d"}) {
    Request(name);
    fixture_.clock.Advance(absl::Minutes(1));
  }
  fixture_.clock.Advance(absl::Minutes(5));
  Request("early");  // nobody was idle for ten minutes
  EXPECT_EQ(Labelled().count("early"), 0u);
  fixture_.clock.Advance(absl::Minutes(2));
  Request("a");  // …and now "b" is the oldest
  fixture_.clock.Advance(absl::Minutes(2));
  Request("late");
  EXPECT_THAT(Labelled(), UnorderedElementsAre("a", "c", "d", "late", "other"));
  EXPECT_EQ(Requests("a"), 2);
  EXPECT_EQ(Requests("late"), 1);
  EXPECT_EQ(Requests("other"), 1);
}

TEST_F(AdapterLabelsTest, RequestsUnderWayKeepTheirLabel) {
  RequestMeter long_one = Begin("a");
  for (const char* name : {"b", "c", "d"}) Request(name);
  fixture_.clock.Advance(absl::Hours(1));
  for (const char* name : {"e", "f", "g", "h"}) Request(name);
  long_one.Tokens(0, 5, fixture_.clock.Now());
  EXPECT_EQ(fixture_.Value("chorus_adapter_generation_tokens_total",
                           {{"tenant", "default"}, {"adapter", "a"}}),
            5);
  EXPECT_THAT(Labelled(), UnorderedElementsAre("a", "e", "f", "g", "other"));
}

TEST_F(AdapterLabelsTest, TenantsAreKeptApart) {
  Begin("same", "one");
  Begin("same", "two");
  EXPECT_EQ(
      fixture_.Value("chorus_adapter_requests_total", {{"tenant", "one"}, {"adapter", "same"}}), 1);
  EXPECT_EQ(
      fixture_.Value("chorus_adapter_requests_total", {{"tenant", "two"}, {"adapter", "same"}}), 1);
}

AdapterResidency Adapter(const std::string& name, ResidencyState state, int32_t running,
                         int32_t waiting) {
  AdapterResidency adapter;
  adapter.tenant = "default";
  adapter.name = name;
  adapter.version = 1;
  adapter.state = state;
  adapter.pages = 10;
  adapter.max_rank = 16;
  adapter.running = running;
  adapter.waiting = waiting;
  return adapter;
}

// The one sample of vllm:lora_requests_info.
Labels LoraInfo(const MetricsFixture& fixture) {
  const auto families = fixture.Scrape();
  const auto& samples = families.at("vllm:lora_requests_info").samples;
  EXPECT_EQ(samples.size(), 1u);
  EXPECT_DOUBLE_EQ(samples.begin()->second,
                   absl::ToDoubleSeconds(fixture.clock.Now() - absl::UnixEpoch()));
  return samples.begin()->first.second;
}

TEST_F(AdapterLabelsTest, RoutersSeeWhatIsReadyAndWhatIsWaitedFor) {
  fixture_.stats.adapters = {Adapter("busy", ResidencyState::kResident, 2, 0),
                             Adapter("idle", ResidencyState::kResident, 0, 0),
                             Adapter("admitted", ResidencyState::kLoading, 1, 0),
                             Adapter("loading", ResidencyState::kLoading, 0, 1),
                             Adapter("on_disk", ResidencyState::kDisk, 0, 3),
                             Adapter("leaving", ResidencyState::kCancelling, 0, 0)};
  EXPECT_THAT(LoraInfo(fixture_),
              UnorderedElementsAre(std::pair("max_lora", "8"),
                                   std::pair("running_lora_adapters", "busy,idle"),
                                   std::pair("waiting_lora_adapters", "admitted,loading,on_disk")));
}

TEST_F(AdapterLabelsTest, RoutersSeeEachNameOnceAndNoTenants) {
  AdapterResidency old = Adapter("v", ResidencyState::kResident, 0, 0);
  AdapterResidency theirs = old;
  theirs.tenant = "other-tenant";
  AdapterResidency young = Adapter("v", ResidencyState::kLoading, 0, 1);
  young.version = 2;
  fixture_.stats.adapters = {old, theirs, young};
  const Labels labels = LoraInfo(fixture_);
  EXPECT_EQ(labels.at("running_lora_adapters"), "v");
  EXPECT_EQ(labels.at("waiting_lora_adapters"), "v");
  const auto families = fixture_.Scrape();
  EXPECT_EQ(families.at("vllm:lora_adapter_loaded").samples.size(), 1u);
}

TEST_F(AdapterLabelsTest, BusyAdaptersGetTheFewLabelsFirst) {
  for (int i = 0; i < 1000; ++i) {
    const bool busy = i == 500 || i == 900;
    fixture_.stats.adapters.push_back(
        Adapter("a" + std::to_string(i), ResidencyState::kResident, busy ? 1 : 0, 0));
  }
  const std::vector<std::string> listed =
      absl::StrSplit(LoraInfo(fixture_).at("running_lora_adapters"), ',');
  EXPECT_THAT(listed, ElementsAre("a0", "a1", "a500", "a900"));
  const auto families = fixture_.Scrape();
  EXPECT_EQ(families.at("vllm:lora_adapter_loaded").samples.size(), 4u);
  EXPECT_EQ(fixture_.Value(
                "vllm:lora_adapter_loaded",
                {{"adapter_name", "a500"}, {"level", "gpu"}, {"pinned", "false"}, {"rank", "16"}}),
            1);
  EXPECT_EQ(fixture_.Value("vllm:num_gpu_loaded_lora_adapters"), 1000);
  size_t series = 0;
  for (const auto& [name, family] : families) series += family.samples.size();
  EXPECT_LT(series, 500u);
}

}  // namespace
}  // namespace chorus::test
