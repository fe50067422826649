// Acceptor: the server's own accept loop in front of gRPC 1.51, which by itself takes connections
// without a bound and never accepts again once descriptors have run out.
#ifndef CHORUS_SERVER_GRPC_ACCEPTOR_H_
#define CHORUS_SERVER_GRPC_ACCEPTOR_H_

#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "grpcpp/server_builder.h"
#include "server/config/address.h"
#include "server/grpc/descriptor.h"
#include "server/metrics/server_metrics.h"

namespace chorus::server {

class Acceptor {
 public:
  // Binds and listens. Unavailable, with the system's reason, when it cannot.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const Address& address,
                                                          int max_connections,
                                                          ServerMetrics* metrics);
  ~Acceptor() { Stop(); }

  int port() const { return port_; }  // 0 for a unix socket

  // Accepts from now on. `server` must outlive Stop.
  void Start(grpc::experimental::ExternalConnectionAcceptor* server);
  // Closes the listening socket: connections that exist go on, new ones are refused by the system.
  void Stop();

 private:
  Acceptor(Address address, int max_connections, ServerMetrics* metrics)
      : address_(std::move(address)), max_connections_(max_connections), metrics_(metrics) {}

  absl::Status Bind();
  void Loop();
  void AcceptOne();
  // False, and a connection is turned away, when there are as many as there may be.
  bool HasRoom();
  int CountConnections() const;

  const Address address_;
  const int max_connections_;
  ServerMetrics* const metrics_;
  grpc::experimental::ExternalConnectionAcceptor* server_ = nullptr;
  Descriptor listening_;
  Descriptor stop_;   // an eventfd
  Descriptor spare_;  // given up for a moment to turn somebody away when descriptors have run out
  int port_ = 0;
  int connections_ = 0;  // at most so many: counted once, plus those accepted since
  std::thread thread_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_ACCEPTOR_H_
