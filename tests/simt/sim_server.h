// The simulator as a device for SteppedServer: its virtual time is the server's.
#ifndef CHORUS_TESTS_SIMT_SIM_SERVER_H_
#define CHORUS_TESTS_SIMT_SIM_SERVER_H_

#include <memory>
#include <thread>
#include <utility>

#include "tests/simt/sim_backend.h"
#include "tests/support/stepped_server.h"

namespace chorus::test {

class SimClock : public engine::Clock {
 public:
  explicit SimClock(const kernels::SimDevice* sim) : sim_(*sim) {}
  absl::Time Now() const override { return absl::UnixEpoch() + absl::Microseconds(sim_.now_us()); }

 private:
  const kernels::SimDevice& sim_;
};

inline MakeServerDevice OnSimulatedServer(const kernels::SimOptions& options) {
  return [options]() -> absl::StatusOr<ServerDevice> {
    constexpr double kIdleUs = 20;
    ServerDevice device;
    CHORUS_ASSIGN_OR_RETURN(device.setup, OnSimulator(options)());
    auto* const sim = static_cast<kernels::SimDevice*>(device.setup.device.get());
    device.clock = std::make_shared<SimClock>(sim);
    device.begin = [sim] { sim->SetTimekeeper(std::this_thread::get_id()); };
    device.idle = [sim] { sim->AdvanceHost(kIdleUs); };
    device.end = [sim] { sim->SetTimekeeper({}); };
    device.pause = std::chrono::milliseconds(3);
    return device;
  };
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_SIM_SERVER_H_
