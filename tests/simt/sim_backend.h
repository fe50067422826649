// The simulator as a device for DeviceBackend.
#ifndef CHORUS_TESTS_SIMT_SIM_BACKEND_H_
#define CHORUS_TESTS_SIMT_SIM_BACKEND_H_

#include <memory>

#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"
#include "tests/support/device_backend.h"

namespace chorus::test {

inline MakeDevice OnSimulator(const kernels::SimOptions& options) {
  return [options]() -> absl::StatusOr<DeviceSetup> {
    auto device = std::make_unique<kernels::SimDevice>(options);
    kernels::SimDevice* const sim = device.get();
    DeviceSetup setup{.device = std::move(device), .ops = std::make_unique<SimLibraryOps>(sim)};
    // One that loses a wait is wrong on purpose.
    if (options.lost_wait < 0) setup.finish = [sim] { return sim->Finish(); };
    return setup;
  };
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_SIM_BACKEND_H_
