#include "server/grpc/inference_service.h"

#include "server/grpc/generate_reactor.h"
#include "server/grpc/unary.h"

namespace chorus::server {

grpc::ServerWriteReactor<grpc::ByteBuffer>* InferenceService::Generate(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return GenerateReactor::Start(front_, context, *request);
}

grpc::ServerUnaryReactor* InferenceService::Cancel(grpc::CallbackServerContext* /*context*/,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  const auto cancel =
      [front = front_](const v1::CancelRequest& message) -> absl::StatusOr<v1::CancelResponse> {
    front->generations->Cancel(front->PrincipalOf().tenant, message.request_id());
    return v1::CancelResponse();
  };
  return UnaryCall<v1::CancelRequest>(front_, Method::kCancel, front_->tasks, request, response,
                                      cancel);
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* /*context*/,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  const auto tokenize = [front = front_](const v1::TokenizeRequest& message) {
    return front->builder->Tokenize(message);
  };
  return UnaryCall<v1::TokenizeRequest>(front_, Method::kTokenize, front_->tasks, request, response,
                                        tokenize);
}

}  // namespace chorus::server
