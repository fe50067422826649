// Metric families made by hand, for values that are read when somebody scrapes.
#ifndef CHORUS_SERVER_METRICS_FAMILY_H_
#define CHORUS_SERVER_METRICS_FAMILY_H_

#include <string>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"

namespace chorus::server {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

inline prometheus::MetricFamily MakeFamily(prometheus::MetricType type, std::string name,
                                           std::string help) {
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

// Adds one series to a family of gauges or counters.
inline void AddSeries(double value, const MetricLabels& labels, prometheus::MetricFamily* family) {
  prometheus::ClientMetric metric;
  for (const auto& [key, text] : labels) metric.label.push_back({key, text});
  if (family->type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

// Collects families that have one series each.
class FamilyList {
 public:
  void Gauge(std::string name, std::string help, double value, const MetricLabels& labels = {}) {
    Add(prometheus::MetricType::Gauge, std::move(name), std::move(help), value, labels);
  }
  void Counter(std::string name, std::string help, double value, const MetricLabels& labels = {}) {
    Add(prometheus::MetricType::Counter, std::move(name), std::move(help), value, labels);
  }
  void Append(prometheus::MetricFamily family) { families_.push_back(std::move(family)); }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  void Add(prometheus::MetricType type, std::string name, std::string help, double value,
           const MetricLabels& labels) {
    prometheus::MetricFamily family = MakeFamily(type, std::move(name), std::move(help));
    AddSeries(value, labels, &family);
    families_.push_back(std::move(family));
  }

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_FAMILY_H_
