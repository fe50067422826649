// Daemon: chorusd put together: model, pool, engine, catalog, services, metrics, and the order in
// which they begin and end.
//
//   Start ─▶ ready ─▶ Drain: not ready ─▶ (drain_delay) new requests refused ─▶ drained ─▶ Stop
#ifndef CHORUS_SERVER_DAEMON_H_
#define CHORUS_SERVER_DAEMON_H_

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/adapters/stored_catalog.h"
#include "engine/engine.h"
#include "server/config/server_config.h"
#include "server/device/serving_device.h"
#include "server/generate/generations.h"
#include "server/generate/request_builder.h"
#include "server/grpc/front.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/metrics_server.h"
#include "server/metrics/server_metrics.h"
#include "server/model/serving_model.h"
#include "server/tasks/task_pool.h"

namespace chorus::server {

class Daemon {
 public:
  static constexpr absl::Duration kTick = GrpcServer::kTick;

  // Opens the device, loads the model, recovers the store and serves. REQUIRES: config.Validate()
  // is OK.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const ServerConfig& config);
  // The same on this device, whatever the configuration says of one.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const ServerConfig& config,
                                                       ServingDevice device);
  // Ends calls that are still under way, without waiting for their answers.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  int grpc_port() const { return grpc_->port(); }
  int metrics_port() const { return metrics_server_ == nullptr ? 0 : metrics_server_->port(); }

  // Not ready from now on; after the drain delay new requests are refused. Any thread, any number
  // of times.
  void Drain() { drain_wanted_ = true; }
  // Everything that was accepted has ended.
  bool Drained() const { return draining_ && engine_->Drained(); }

  // What is to be done once in a kTick, on one thread: drains, cuts off clients that stall.
  // An error when the engine has failed and the process has to be started again.
  absl::Status Tick();

 private:
  Daemon(const ServerConfig& config, ServingDevice device)
      : config_(config), device_(std::move(device)) {}

  absl::Status LoadModel();
  absl::StatusOr<engine::Backend> MakeBackend();
  absl::Status StartEngine();
  absl::Status OpenCatalog();
  absl::Status StartServing();
  v1::ServerInfo Info() const;
  absl::Status WritePortFile() const;

  const ServerConfig config_;
  const engine::Clock* const clock_ = engine::Clock::Real();
  ServingDevice device_;
  ServingModel model_;
  engine::Backend backend_;  // but for what the engine took
  std::shared_ptr<engine::StreamBell> bell_ = std::make_shared<engine::StreamBell>();
  std::shared_ptr<ServerMetrics> metrics_;  // shared with the HTTP server's scrapes
  std::atomic<bool> drain_wanted_{false};
  std::atomic<bool> draining_{false};
  absl::Time drain_begin_ = absl::InfiniteFuture();
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<engine::StoredCatalog> catalog_;
  std::unique_ptr<Pins> pins_;
  std::unique_ptr<Generations> generations_;
  std::unique_ptr<RequestBuilder> builder_;
  std::unique_ptr<TaskPool> tasks_;
  std::unique_ptr<TaskPool> files_;
  Front front_;
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<MetricsServer> metrics_server_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_DAEMON_H_
