// ServerMetrics: everything that /metrics shows. Front ends record here what happens to calls and
// uploads (RequestMeter does it for generations); what the engine counts is read when somebody
// looks. Names are vLLM's where dashboards and routers look for them, chorus_… for what is ours.
#ifndef CHORUS_SERVER_METRICS_SERVER_METRICS_H_
#define CHORUS_SERVER_METRICS_SERVER_METRICS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/clock.h"
#include "engine/refusal.h"
#include "engine/schedule/engine_stats.h"
#include "prometheus/collectable.h"

namespace chorus::server {

class AdapterUsageTable;
class RequestSeries;

enum class Method {
  kGenerate,
  kCancel,
  kTokenize,
  kUpload,
  kGet,
  kList,
  kDelete,
  kPin,
  kWatch,
  kGetServerInfo,
  kGetLoad,
  kDrain,
};

enum class UploadResult {
  kStored,
  kRefused,    // the client's fault, or the adapter's
  kFailed,     // ours: the disk, the store
  kAbandoned,  // the client went away
};

enum class ServerState { kStarting, kReady, kDraining, kFailed };

struct MetricsOptions {
  std::string version;
  std::string model_name;  // the served name: a label of all vllm: metrics
  int32_t context_tokens = 1;
  int32_t max_step_adapters = 1;
  // Adapters that have a label at one time; what the others do is counted under "other".
  int max_adapter_labels = 64;
};

// Thread-safe.
class ServerMetrics : public prometheus::Collectable {
 public:
  // Engine::stats and Engine::TakeLoadSeconds, called on the threads of those who scrape.
  struct EngineReaders {
    std::function<engine::EngineStats()> stats;
    std::function<std::vector<double>()> take_load_seconds;
  };
  ServerMetrics(const MetricsOptions& options, EngineReaders engine, const engine::Clock* clock);
  ~ServerMetrics() override;

  void CallEnded(Method method, absl::StatusCode code);
  void Refused(engine::Reason reason);
  // `bytes` that came, `elapsed` since the call began.
  void UploadEnded(UploadResult result, int64_t bytes, absl::Duration elapsed);
  // A connection whose client read nothing for too long was cut.
  void SlowReaderCut();
  void ConnectionAccepted();
  void ConnectionRefused();
  void SetState(ServerState state);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  friend class RequestMeter;
  struct Impl;

  const std::unique_ptr<Impl> impl_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_SERVER_METRICS_H_
