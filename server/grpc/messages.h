// Messages and statuses as gRPC carries them. The services are raw: they get bytes and parse them
// here, because gRPC 1.51 alone answers a message that does not parse with an empty UNIMPLEMENTED.
#ifndef CHORUS_SERVER_GRPC_MESSAGES_H_
#define CHORUS_SERVER_GRPC_MESSAGES_H_

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"

namespace chorus::server {

// InvalidArgument (INVALID_UTF8 naming the field, or MALFORMED_MESSAGE) for bytes that are no
// message of this type.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

// With a chorus.v1.Status in "grpc-status-details-bin" when `status` is a refusal.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_MESSAGES_H_
