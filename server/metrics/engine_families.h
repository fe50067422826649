// The engine's statistics as metric families.
#ifndef CHORUS_SERVER_METRICS_ENGINE_FAMILIES_H_
#define CHORUS_SERVER_METRICS_ENGINE_FAMILIES_H_

#include <vector>

#include "absl/time/time.h"
#include "engine/schedule/engine_stats.h"
#include "prometheus/metric_family.h"
#include "server/metrics/server_metrics.h"

namespace chorus::server {

// `now` is the value of vllm:lora_requests_info: routers take the series with the largest one.
std::vector<prometheus::MetricFamily> EngineFamilies(const engine::EngineStats& stats,
                                                     const MetricsOptions& options, absl::Time now);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_ENGINE_FAMILIES_H_
