#include "server/grpc/admin_service.h"

#include "server/grpc/unary.h"

namespace chorus::server {
namespace {

v1::Load LoadOf(const Front& front) {
  const engine::EngineStats stats = front.engine->stats();
  v1::Load load;
  load.set_requests_running(stats.requests_running);
  load.set_requests_waiting(stats.requests_waiting);
  load.set_sequences_running(stats.sequences_running);
  load.set_pages_total(stats.pages_total);
  load.set_pages_free(stats.pages_free);
  load.set_pages_sequences(stats.pages_sequences);
  load.set_pages_prefixes(stats.pages_prefixes);
  load.set_pages_adapters(stats.pages_adapters);
  load.set_pages_draining(stats.pages_draining);
  load.set_generation_tokens(stats.generation_tokens);
  load.set_preemptions(stats.preemptions);
  load.set_adapter_loads(stats.adapter_loads);
  load.set_draining(*front.draining);
  load.set_ready(!*front.draining && !stats.failed);
  return load;
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetServerInfo(grpc::CallbackServerContext* /*context*/,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  const auto get = [this](const v1::GetServerInfoRequest&) -> absl::StatusOr<v1::ServerInfo> {
    v1::ServerInfo info = info_;
    info.set_uptime_ms(absl::ToInt64Milliseconds(front_->clock->Now() - start_));
    return info;
  };
  return UnaryCall<v1::GetServerInfoRequest>(front_, Method::kGetServerInfo, front_->tasks, request,
                                             response, get);
}

grpc::ServerUnaryReactor* AdminService::GetLoad(grpc::CallbackServerContext* /*context*/,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  const auto get = [front = front_](const v1::GetLoadRequest&) -> absl::StatusOr<v1::Load> {
    return LoadOf(*front);
  };
  return UnaryCall<v1::GetLoadRequest>(front_, Method::kGetLoad, front_->tasks, request, response,
                                       get);
}

grpc::ServerUnaryReactor* AdminService::Drain(grpc::CallbackServerContext* /*context*/,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) {
  const auto drain = [front =
                          front_](const v1::DrainRequest&) -> absl::StatusOr<v1::DrainResponse> {
    if (front->PrincipalOf().role != Role::kOperator) {
      return absl::PermissionDeniedError("Drain: for operators");
    }
    front->drain();
    return v1::DrainResponse();
  };
  return UnaryCall<v1::DrainRequest>(front_, Method::kDrain, front_->tasks, request, response,
                                     drain);
}

}  // namespace chorus::server
