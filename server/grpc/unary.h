// A unary call: parse, do the work on a task pool, answer.
#ifndef CHORUS_SERVER_GRPC_UNARY_H_
#define CHORUS_SERVER_GRPC_UNARY_H_

#include <utility>

#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/front.h"
#include "server/grpc/messages.h"

namespace chorus::server {

// `handle(const Request&) → StatusOr<Response>` runs on `pool`. The reactor lives until gRPC is
// done with it.
template <class Request, class Handle>
grpc::ServerUnaryReactor* UnaryCall(const Front* front, Method method, TaskPool* pool,
                                    const grpc::ByteBuffer* in, grpc::ByteBuffer* out,
                                    Handle handle) {
  class Reactor : public grpc::ServerUnaryReactor {
    void OnDone() override { delete this; }
  };
  auto* const reactor = new Reactor;
  pool->Post([=, bytes = *in, handle = std::move(handle)] {
    Request request;
    absl::Status status = ParseMessage(bytes, &request);
    if (status.ok()) {
      const auto response = handle(request);
      status = response.status();
      if (status.ok()) *out = SerializeMessage(*response);
    }
    reactor->Finish(front->Ended(method, status));
  });
  return reactor;
}

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_UNARY_H_
