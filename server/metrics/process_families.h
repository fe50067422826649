// What the system knows of this process, under the names that Prometheus clients give it.
#ifndef CHORUS_SERVER_METRICS_PROCESS_FAMILIES_H_
#define CHORUS_SERVER_METRICS_PROCESS_FAMILIES_H_

#include <vector>

#include "prometheus/metric_family.h"

namespace chorus::server {

// Read from /proc/self now; what cannot be read is left out.
std::vector<prometheus::MetricFamily> ProcessFamilies();

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_PROCESS_FAMILIES_H_
