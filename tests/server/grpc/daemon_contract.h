// The tests of chorusd on a device that hold on any of them (daemon_contract_test.cc). A program
// that links them says on which devices they run.
#ifndef CHORUS_TESTS_SERVER_GRPC_DAEMON_CONTRACT_H_
#define CHORUS_TESTS_SERVER_GRPC_DAEMON_CONTRACT_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"
#include "server/device/serving_device.h"

namespace chorus::test {

struct DaemonDevice {
  std::string name;   // of letters, digits and underscores
  std::string dtype;  // that chorusd chooses for an f32 model
  // FailedPrecondition: there is none, the test is skipped.
  std::function<absl::StatusOr<server::ServingDevice>()> open;
};
inline void PrintTo(const DaemonDevice& device, std::ostream* out) { *out << device.name; }

std::vector<DaemonDevice> DaemonDevices();

// Little memory of a device and of the host, so that tests begin at once.
inline server::ServerConfig SmallDaemon() {
  server::ServerConfig config;
  config.engine.max_running = 8;
  config.engine.max_step_tokens = 64;
  config.memory.pool_bytes = 8 << 20;
  config.memory.adapter_host_bytes = 8 << 20;
  return config;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SERVER_GRPC_DAEMON_CONTRACT_H_
