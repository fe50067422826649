// Prometheus' text format, read back strictly: what a scraper would refuse is refused here.
#ifndef CHORUS_TESTS_SERVER_METRICS_EXPOSITION_H_
#define CHORUS_TESTS_SERVER_METRICS_EXPOSITION_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace chorus::test {

using Labels = std::map<std::string, std::string>;

struct ExposedFamily {
  std::string type;  // "counter", "gauge", "histogram", "summary"
  std::string help;
  // By the sample's name, which for histograms ends in _bucket, _count or _sum, and its labels.
  std::map<std::pair<std::string, Labels>, double> samples;
};

// Families by name. InvalidArgument with the line for what is not well formed: a sample before its
// TYPE or of another family, a family or series that stands twice, a bad name, an unknown escape.
absl::StatusOr<std::map<std::string, ExposedFamily>> ParseExposition(const std::string& text);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SERVER_METRICS_EXPOSITION_H_
