// chorus.v1.Adapters over gRPC's callback API.
#ifndef CHORUS_SERVER_GRPC_ADAPTERS_SERVICE_H_
#define CHORUS_SERVER_GRPC_ADAPTERS_SERVICE_H_

#include "chorus/v1/adapters.grpc.pb.h"
#include "server/grpc/front.h"
#include "server/grpc/upload_reactor.h"

namespace chorus::server {

using RawAdapters = v1::Adapters::WithRawCallbackMethod_Upload<
    v1::Adapters::WithRawCallbackMethod_Get<v1::Adapters::WithRawCallbackMethod_List<
        v1::Adapters::WithRawCallbackMethod_Delete<v1::Adapters::WithRawCallbackMethod_Pin<
            v1::Adapters::WithRawCallbackMethod_Watch<v1::Adapters::Service>>>>>>;

class AdaptersService final : public RawAdapters {
 public:
  // `front` must outlive the server.
  explicit AdaptersService(const Front* front) : front_(front) {}

  grpc::ServerReadReactor<grpc::ByteBuffer>* Upload(grpc::CallbackServerContext* context,
                                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Pin(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) override;

  // Ends uploads whose clients have sent nothing for longer than `limit`.
  void CutStalled(int limit) { uploads_.CutStalled(limit); }

 private:
  const Front* const front_;
  UploadTable uploads_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_ADAPTERS_SERVICE_H_
