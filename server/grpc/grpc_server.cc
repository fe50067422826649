#include "server/grpc/grpc_server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "google/protobuf/stubs/logging.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "kernels/status_macros.h"

namespace chorus::server {
namespace {

// A prompt of a very long context, or a chunk of an upload and what is around it.
constexpr int kMaxReceiveBytes = 4 << 20;
constexpr int kMaxMetadataBytes = 8 << 10;
constexpr size_t kQuotaBytes = size_t{512} << 20;
constexpr std::chrono::seconds kShutdownGrace(2);
// An upload may come over a slow network, but not hold its place for ever.
constexpr absl::Duration kUploadStall = absl::Seconds(60);

void SetKnobs(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // A compressed message may be a thousand times larger than the limit that is looked at later.
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5'000);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 5 * 60'000);
  // Without these a socket that nobody reads holds its call for 20 seconds.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  grpc::ResourceQuota quota("chorusd");
  quota.Resize(kQuotaBytes);
  builder->SetResourceQuota(quota);
}

}  // namespace

GrpcServer::GrpcServer(const Front* front, const v1::ServerInfo& info)
    : front_(front), inference_(front), adapters_(front), admin_(front, info) {}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Front* front,
                                                              const v1::ServerInfo& info) {
  static const bool kPlugins = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    google::protobuf::SetLogHandler(nullptr);  // clients hear of their mistakes, not the log
    return true;
  }();
  (void)kPlugins;
  std::unique_ptr<GrpcServer> server(new GrpcServer(front, info));
  CHORUS_ASSIGN_OR_RETURN(const Address address, ParseAddress("listen", front->config->listen));
  CHORUS_ASSIGN_OR_RETURN(
      server->acceptor_, Acceptor::Listen(address, front->config->max_connections, front->metrics));
  grpc::ServerBuilder builder;
  SetKnobs(&builder);
  server->connections_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  builder.RegisterService(&server->inference_);
  builder.RegisterService(&server->adapters_);
  builder.RegisterService(&server->admin_);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) return absl::InternalError("gRPC: the server does not start");
  server->SetReady(false);
  server->acceptor_->Start(server->connections_.get());
  return server;
}

GrpcServer::~GrpcServer() {
  if (acceptor_ != nullptr) acceptor_->Stop();
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
    server_->Wait();
  }
}

void GrpcServer::SetReady(bool ready) {
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  health->SetServingStatus(ready);
  for (const char* service : {v1::Inference::service_full_name(), v1::Adapters::service_full_name(),
                              v1::Admin::service_full_name()}) {
    health->SetServingStatus(service, ready);
  }
}

void GrpcServer::CutStalled() {
  const absl::Duration limit = absl::Milliseconds(front_->config->stall_limit_ms);
  // Rounded up, so that nobody is cut off early.
  const auto sweeps = [](absl::Duration time) {
    return static_cast<int>((time + kTick - absl::Nanoseconds(1)) / kTick);
  };
  front_->generations->CutStalled(sweeps(limit));
  adapters_.CutStalled(sweeps(std::max(limit, kUploadStall)));
}

}  // namespace chorus::server
