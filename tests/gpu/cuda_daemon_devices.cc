// chorusd on the first GPU.
#include "tests/server/grpc/daemon_contract.h"

namespace chorus::test {

std::vector<DaemonDevice> DaemonDevices() {
  return {{.name = "Cuda", .dtype = "bf16", .open = [] {
             return server::ServingDevice::Open("cuda");
           }}};
}

}  // namespace chorus::test
