// The inside of ServerMetrics, for its own folder.
#ifndef CHORUS_SERVER_METRICS_SERVER_METRICS_IMPL_H_
#define CHORUS_SERVER_METRICS_SERVER_METRICS_IMPL_H_

#include <atomic>
#include <functional>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/metrics/adapter_usage.h"
#include "server/metrics/request_series.h"
#include "server/metrics/server_metrics.h"

namespace chorus::server {

struct ServerMetrics::Impl {
  Impl(const MetricsOptions& metrics_options, EngineReaders readers,
       const engine::Clock* engine_clock);

  const MetricsOptions options;
  const EngineReaders engine;
  const engine::Clock* const clock;
  prometheus::Registry registry;  // all below but `adapters` and `state` point into it
  const RequestSeries requests;
  AdapterUsageTable adapters;
  prometheus::Family<prometheus::Counter>* calls;
  prometheus::Family<prometheus::Counter>* refusals;
  prometheus::Family<prometheus::Counter>* uploads;
  prometheus::Counter* upload_bytes;
  prometheus::Histogram* upload_time;
  prometheus::Histogram* load_time;
  prometheus::Counter* slow_readers;
  prometheus::Counter* connections_accepted;
  prometheus::Counter* connections_refused;
  std::atomic<ServerState> state = ServerState::kStarting;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_SERVER_METRICS_IMPL_H_
