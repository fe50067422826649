// The standard health service, grpc.health.v1, asked without its generated code.
#ifndef CHORUS_SERVER_CLI_HEALTH_H_
#define CHORUS_SERVER_CLI_HEALTH_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace chorus::cli {

struct Health {
  grpc::Status status;
  bool serving = false;
  std::string text;  // "SERVING"
};

// Asks for the whole server's health.
Health CheckHealth(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_HEALTH_H_
