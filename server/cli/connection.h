// The way to the server: which one, and the channel to it.
#ifndef CHORUS_SERVER_CLI_CONNECTION_H_
#define CHORUS_SERVER_CLI_CONNECTION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/cli/options.h"

namespace chorus::cli {

// How long calls may take that the server answers from memory.
inline constexpr absl::Duration kQuickCall = absl::Seconds(15);

// --server, else the environment's CHORUS_SERVER, else chorusd's default address.
struct ServerOption {
  ServerOption();
  void AddTo(OptionSet* options);

  std::string address;
};

// Connects at the first call. Channels are independent: each has a connection of its own.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

// A context whose call ends after `timeout`.
void SetTimeout(grpc::ClientContext* context, absl::Duration timeout);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_CONNECTION_H_
