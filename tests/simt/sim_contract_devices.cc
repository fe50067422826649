// The contract of a Device on the simulator, in every order.
#include "tests/simt/sim_fixture.h"
#include "tests/support/device_contract.h"

namespace chorus::kernels {

std::vector<DeviceUnderTest> DevicesUnderTest() {
  std::vector<DeviceUnderTest> devices;
  for (const SimOptions& options : EverySimOrder()) {
    devices.push_back({.name = absl::StrCat(Name(options.order), options.seed),
                       .open = [options]() -> absl::StatusOr<std::unique_ptr<Device>> {
                         return std::unique_ptr<Device>(new SimDevice(options));
                       }});
  }
  return devices;
}

}  // namespace chorus::kernels
