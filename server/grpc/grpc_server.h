// GrpcServer: all services behind one address, with health and reflection, on gRPC 1.51 set up for
// what it does not withstand by itself.
#ifndef CHORUS_SERVER_GRPC_GRPC_SERVER_H_
#define CHORUS_SERVER_GRPC_GRPC_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "chorus/v1/admin.pb.h"
#include "grpcpp/server.h"
#include "server/grpc/acceptor.h"
#include "server/grpc/adapters_service.h"
#include "server/grpc/admin_service.h"
#include "server/grpc/front.h"
#include "server/grpc/inference_service.h"

namespace chorus::server {

class GrpcServer {
 public:
  static constexpr absl::Duration kTick = absl::Milliseconds(100);

  // Serves on front->config->listen, as not ready. `front` must outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const Front* front,
                                                           const v1::ServerInfo& info);
  // Cancels what is under way and waits for it.
  ~GrpcServer();

  int port() const { return acceptor_->port(); }
  // What grpc.health.v1 says of the server and of each service.
  void SetReady(bool ready);
  void StopAccepting() { acceptor_->Stop(); }
  // Ends calls whose clients neither read nor write. REQUIRES: called once in a kTick.
  void CutStalled();

 private:
  explicit GrpcServer(const Front* front, const v1::ServerInfo& info);

  const Front* const front_;
  InferenceService inference_;
  AdaptersService adapters_;
  AdminService admin_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_GRPC_SERVER_H_
