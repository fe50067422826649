#include "server/metrics/server_metrics.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/metrics/engine_families.h"
#include "server/metrics/family.h"
#include "server/metrics/process_families.h"
#include "server/metrics/server_metrics_impl.h"

namespace chorus::server {
namespace {

constexpr const char* kMethodNames[] = {"Generate", "Cancel",        "Tokenize", "Upload",
                                        "Get",      "List",          "Delete",   "Pin",
                                        "Watch",    "GetServerInfo", "GetLoad",  "Drain"};
static_assert(std::size(kMethodNames) == static_cast<size_t>(Method::kDrain) + 1);

constexpr const char* kUploadResults[] = {"stored", "refused", "failed", "abandoned"};
static_assert(std::size(kUploadResults) == static_cast<size_t>(UploadResult::kAbandoned) + 1);

constexpr const char* kStateNames[] = {"starting", "ready", "draining", "failed"};
static_assert(std::size(kStateNames) == static_cast<size_t>(ServerState::kFailed) + 1);

const prometheus::Histogram::BucketBoundaries kUploadBuckets = {.05, .1, .25, .5,  1,   2.5, 5,
                                                                10,  30, 60,  120, 300, 600};
const prometheus::Histogram::BucketBoundaries kLoadBuckets = {
    .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60};

prometheus::Family<prometheus::Counter>* Counters(const char* name, const char* help,
                                                  prometheus::Registry* registry) {
  return &prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
}

void Move(std::vector<prometheus::MetricFamily> from, std::vector<prometheus::MetricFamily>* to) {
  std::move(from.begin(), from.end(), std::back_inserter(*to));
}

prometheus::MetricFamily StateFamily(ServerState now) {
  prometheus::MetricFamily family =
      MakeFamily(prometheus::MetricType::Gauge, "chorus_server_state",
                 "1 for the state in which the server is, 0 for the others.");
  for (size_t i = 0; i < std::size(kStateNames); ++i) {
    AddSeries(static_cast<size_t>(now) == i ? 1.0 : 0.0, {{"state", kStateNames[i]}}, &family);
  }
  return family;
}

}  // namespace

ServerMetrics::Impl::Impl(const MetricsOptions& metrics_options, EngineReaders readers,
                          const engine::Clock* engine_clock)
    : options(metrics_options),
      engine(std::move(readers)),
      clock(engine_clock),
      requests(options.model_name, options.context_tokens, &registry),
      adapters(options.max_adapter_labels) {
  calls = Counters("chorus_calls_total", "Calls that ended, by method and status.", &registry);
  refusals = Counters("chorus_refusals_total", "Refusals, by reason.", &registry);
  uploads = Counters("chorus_uploads_total", "Uploads that ended, by result.", &registry);
  for (const char* result : kUploadResults) uploads->Add({{"result", result}});
  upload_bytes =
      &Counters("chorus_upload_bytes_total", "Bytes of uploads that came.", &registry)->Add({});
  upload_time = &prometheus::BuildHistogram()
                     .Name("chorus_upload_seconds")
                     .Help("Time from the call's start to its end, of uploads that were stored.")
                     .Register(registry)
                     .Add({}, kUploadBuckets);
  load_time = &prometheus::BuildHistogram()
                   .Name("vllm:lora_adapter_load_seconds")
                   .Help("Time from the lease of pages to an adapter that is ready.")
                   .Labels({{"model_name", options.model_name}, {"engine", "0"}})
                   .Register(registry)
                   .Add({}, kLoadBuckets);
  slow_readers = &Counters("chorus_slow_readers_total",
                           "Connections cut because their client read nothing.", &registry)
                      ->Add({});
  prometheus::Family<prometheus::Counter>* connections = Counters(
      "chorus_connections_total", "Connections that came, by what became of them.", &registry);
  connections_accepted = &connections->Add({{"result", "accepted"}});
  connections_refused = &connections->Add({{"result", "refused"}});
}

ServerMetrics::ServerMetrics(const MetricsOptions& options, EngineReaders engine,
                             const engine::Clock* clock)
    : impl_(std::make_unique<Impl>(options, std::move(engine), clock)) {}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::CallEnded(Method method, absl::StatusCode code) {
  impl_->calls
      ->Add({{"method", kMethodNames[static_cast<size_t>(method)]},
             {"code", absl::StatusCodeToString(code)}})
      .Increment();
}

void ServerMetrics::Refused(engine::Reason reason) {
  impl_->refusals->Add({{"reason", std::string(engine::ReasonName(reason))}}).Increment();
}

void ServerMetrics::UploadEnded(UploadResult result, int64_t bytes, absl::Duration elapsed) {
  impl_->uploads->Add({{"result", kUploadResults[static_cast<size_t>(result)]}}).Increment();
  impl_->upload_bytes->Increment(static_cast<double>(bytes));
  if (result == UploadResult::kStored) {
    impl_->upload_time->Observe(absl::ToDoubleSeconds(elapsed));
  }
}

void ServerMetrics::SlowReaderCut() { impl_->slow_readers->Increment(); }
void ServerMetrics::ConnectionAccepted() { impl_->connections_accepted->Increment(); }
void ServerMetrics::ConnectionRefused() { impl_->connections_refused->Increment(); }
void ServerMetrics::SetState(ServerState state) { impl_->state.store(state); }

std::vector<prometheus::MetricFamily> ServerMetrics::Collect() const {
  for (const double seconds : impl_->engine.take_load_seconds()) {
    impl_->load_time->Observe(seconds);
  }
  const engine::EngineStats stats = impl_->engine.stats();
  std::vector<prometheus::MetricFamily> families =
      EngineFamilies(stats, impl_->options, impl_->clock->Now());
  Move(impl_->registry.Collect(), &families);
  Move(impl_->adapters.Collect(), &families);
  Move(ProcessFamilies(), &families);
  families.push_back(StateFamily(impl_->state.load()));
  FamilyList info;
  info.Gauge("chorus_build_info", "1; the label is the version.", 1.0,
             {{"version", impl_->options.version}});
  Move(info.Take(), &families);
  return families;
}

}  // namespace chorus::server
