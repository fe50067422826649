// chorus.v1.Inference over gRPC's callback API.
#ifndef CHORUS_SERVER_GRPC_INFERENCE_SERVICE_H_
#define CHORUS_SERVER_GRPC_INFERENCE_SERVICE_H_

#include "chorus/v1/inference.grpc.pb.h"
#include "server/grpc/front.h"

namespace chorus::server {

using RawInference =
    v1::Inference::WithRawCallbackMethod_Generate<v1::Inference::WithRawCallbackMethod_Cancel<
        v1::Inference::WithRawCallbackMethod_Tokenize<v1::Inference::Service>>>;

class InferenceService final : public RawInference {
 public:
  // `front` must outlive the server.
  explicit InferenceService(const Front* front) : front_(front) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  const Front* const front_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_INFERENCE_SERVICE_H_
