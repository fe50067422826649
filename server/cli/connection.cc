#include "server/cli/connection.h"

#include <cstdlib>

#include "absl/strings/match.h"

namespace chorus::cli {
namespace {

bool IsLocal(const std::string& address) {
  for (const char* start : {"127.", "localhost:", "[::1]", "unix:"}) {
    if (absl::StartsWith(address, start)) return true;
  }
  return false;
}

}  // namespace

ServerOption::ServerOption() : address("127.0.0.1:50051") {
  const char* named = std::getenv("CHORUS_SERVER");
  if (named != nullptr && *named != '\0') address = named;
}

void ServerOption::AddTo(OptionSet* options) {
  options->Add("--server", "HOST:PORT",
               "the server (default: $CHORUS_SERVER, else 127.0.0.1:50051)", &address);
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // gRPC waits 20 s for a host that does not answer, and as long between tries.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A proxy for the way out does not know this machine's own ports.
  if (IsLocal(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

}  // namespace chorus::cli
