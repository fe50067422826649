// Front: what all gRPC services share. Everything here outlives the server.
#ifndef CHORUS_SERVER_GRPC_FRONT_H_
#define CHORUS_SERVER_GRPC_FRONT_H_

#include <atomic>
#include <functional>

#include "engine/adapters/catalog.h"
#include "engine/engine.h"
#include "engine/refusal.h"
#include "server/config/server_config.h"
#include "server/generate/generations.h"
#include "server/generate/request_builder.h"
#include "server/grpc/messages.h"
#include "server/grpc/pins.h"
#include "server/metrics/server_metrics.h"
#include "server/model/serving_model.h"
#include "server/tasks/task_pool.h"
#include "server/tenants/principal.h"

namespace chorus::server {

struct Front {
  const ServerConfig* config = nullptr;
  const engine::Clock* clock = nullptr;
  const ServingModel* model = nullptr;
  engine::Engine* engine = nullptr;
  engine::Catalog* catalog = nullptr;
  Pins* pins = nullptr;
  Generations* generations = nullptr;
  const RequestBuilder* builder = nullptr;
  ServerMetrics* metrics = nullptr;
  TaskPool* tasks = nullptr;    // short work: tokenising, looking things up
  TaskPool* files = nullptr;    // work that waits for the store
  std::function<void()> drain;  // begins the drain; any thread, any number of times
  const std::atomic<bool>* draining = nullptr;

  // Whom a call comes from. The one place that will ask who they are.
  Principal PrincipalOf() const { return LocalPrincipal(); }

  // Ends the books of a call.
  grpc::Status Ended(Method method, const absl::Status& status) const {
    metrics->CallEnded(method, status.code());
    if (const auto refusal = engine::RefusalOf(status)) metrics->Refused(refusal->reason);
    return ToGrpcStatus(status);
  }
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_FRONT_H_
