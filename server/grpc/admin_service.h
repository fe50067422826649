// chorus.v1.Admin over gRPC's callback API.
#ifndef CHORUS_SERVER_GRPC_ADMIN_SERVICE_H_
#define CHORUS_SERVER_GRPC_ADMIN_SERVICE_H_

#include <utility>

#include "chorus/v1/admin.grpc.pb.h"
#include "server/grpc/front.h"

namespace chorus::server {

using RawAdmin =
    v1::Admin::WithRawCallbackMethod_GetServerInfo<v1::Admin::WithRawCallbackMethod_GetLoad<
        v1::Admin::WithRawCallbackMethod_Drain<v1::Admin::Service>>>;

class AdminService final : public RawAdmin {
 public:
  // `front` must outlive the server. `info` is the answer to GetServerInfo but for its uptime.
  AdminService(const Front* front, v1::ServerInfo info)
      : front_(front), info_(std::move(info)), start_(front->clock->Now()) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetLoad(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;

 private:
  const Front* const front_;
  const v1::ServerInfo info_;
  const absl::Time start_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_ADMIN_SERVICE_H_
