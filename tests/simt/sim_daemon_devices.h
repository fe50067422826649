// The simulator as a device for chorusd.
#ifndef CHORUS_TESTS_SIMT_SIM_DAEMON_DEVICES_H_
#define CHORUS_TESTS_SIMT_SIM_DAEMON_DEVICES_H_

#include <memory>
#include <utility>

#include "engine/backend/device_backend.h"
#include "server/device/serving_device.h"
#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {

inline server::ServingDevice ServingSimulator(const kernels::SimOptions& options) {
  server::ServingDevice serving;
  auto device = std::make_unique<kernels::SimDevice>(options);
  serving.ops = std::make_unique<SimLibraryOps>(device.get());
  serving.name = "sim";
  serving.why = "a test";
  serving.make_backend = [sim = device.get(),
                          ops = serving.ops.get()](const engine::BackendSpec& spec) {
    return engine::MakeDeviceBackend(sim, ops, spec);
  };
  serving.device = std::move(device);
  return serving;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_SIM_DAEMON_DEVICES_H_
