#include "server/cli/health.h"

#include <grpcpp/generic/generic_stub.h>

#include <vector>

#include "absl/strings/str_cat.h"

namespace chorus::cli {
namespace {

// HealthCheckResponse has one field: 1, an enum, so the wire holds 0x08 and the value. An absent
// field is UNKNOWN, as is whatever else came.
int ServingStatus(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return 0;
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes.size() >= 2 && bytes[0] == 0x08 ? bytes[1] : 0;
}

std::string StatusName(int value) {
  switch (value) {
    case 1:
      return "SERVING";
    case 2:
      return "NOT_SERVING";
    case 3:
      return "SERVICE_UNKNOWN";
    default:
      return "UNKNOWN";
  }
}

}  // namespace

Health CheckHealth(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
  Health health;
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const grpc::ByteBuffer request(nullptr, 0);  // no service name: the whole server
  grpc::ByteBuffer response;
  const auto call = stub.PrepareUnaryCall(context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &health.status, &health);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  if (!health.status.ok()) return health;
  const int value = ServingStatus(response);
  health.serving = value == 1;
  health.text = StatusName(value);
  return health;
}

}  // namespace chorus::cli
