// The contract of a Device on the simulator, in every order, and as an older card.
#include "tests/simt/sim_fixture.h"
#include "tests/support/device_contract.h"

namespace chorus::kernels {

std::vector<DeviceUnderTest> DevicesUnderTest() {
  std::vector<DeviceUnderTest> devices;
  std::vector<SimOptions> all = EverySimOrder();
  all.push_back({.seed = 21});
  all.back().info.compute_capability = 80;
  for (const SimOptions& options : all) {
    devices.push_back({.name = absl::StrCat(Name(options.order), options.seed),
                       .open = [options]() -> absl::StatusOr<std::unique_ptr<Device>> {
                         return std::unique_ptr<Device>(new SimDevice(options));
                       }});
  }
  return devices;
}

}  // namespace chorus::kernels
