// A ServerMetrics over an engine whose statistics a test sets.
#ifndef CHORUS_TESTS_SERVER_METRICS_METRICS_FIXTURE_H_
#define CHORUS_TESTS_SERVER_METRICS_METRICS_FIXTURE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/metrics/server_metrics.h"
#include "tests/server/metrics/exposition.h"
#include "tests/support/fake_clock.h"

namespace chorus::test {

class MetricsFixture {
 public:
  explicit MetricsFixture(server::MetricsOptions options = DefaultOptions())
      : metrics(std::make_shared<server::ServerMetrics>(
            options,
            server::ServerMetrics::EngineReaders{
                [this] { return stats; }, [this] { return std::exchange(load_seconds, {}); }},
            &clock)) {}

  static server::MetricsOptions DefaultOptions() {
    return {.version = "1.2.3",
            .model_name = "tiny",
            .context_tokens = 100,
            .max_step_adapters = 8,
            .max_adapter_labels = 4};
  }

  std::map<std::string, ExposedFamily> Scrape() const {
    const auto families =
        ParseExposition(prometheus::TextSerializer().Serialize(metrics->Collect()));
    EXPECT_TRUE(families.ok()) << families.status();
    return *families;
  }

  // The value of a sample; `labels` are those that differ from vLLM's common ones.
  double Value(const std::string& name, Labels labels = {}) const {
    std::string family = name;
    for (const char* suffix : {"_bucket", "_count", "_sum"}) {
      const size_t at = name.rfind(suffix);
      if (at != std::string::npos && at + std::string(suffix).size() == name.size()) {
        family = name.substr(0, at);
      }
    }
    if (name.substr(0, 5) == "vllm:" && name != "vllm:lora_requests_info") {
      labels.insert({{"model_name", "tiny"}, {"engine", "0"}});
    }
    const auto families = Scrape();
    const auto found = families.find(family);
    if (found == families.end()) {
      ADD_FAILURE() << "no family " << family;
      return -1;
    }
    const auto sample = found->second.samples.find(std::pair(name, labels));
    if (sample == found->second.samples.end()) {
      ADD_FAILURE() << "no sample " << name << " with these labels";
      return -1;
    }
    return sample->second;
  }

  FakeClock clock;
  engine::EngineStats stats;
  std::vector<double> load_seconds;
  std::shared_ptr<server::ServerMetrics> metrics;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SERVER_METRICS_METRICS_FIXTURE_H_
