// The stress test of adapters on the simulator, in its adversarial orders.
#include "tests/simt/sim_server.h"
#include "tests/support/adapter_stress.h"

namespace chorus::test {

std::vector<StressDevice> StressDevices() {
  using kernels::SimOrder;
  struct Setting {
    std::string name;
    SimOrder order;
    int head_dim = 16;
    bool last_pages = false;
  };
  std::vector<StressDevice> devices;
  for (const Setting& setting :
       {Setting{"Sim_lazy", SimOrder::kLazy}, Setting{"Sim_eager", SimOrder::kEager},
        Setting{"Sim_random", SimOrder::kRandom, 16, true}, Setting{"Sim_timed", SimOrder::kTimed},
        Setting{"Sim_wide_heads", SimOrder::kRandom, 64}}) {
    devices.push_back({.name = setting.name,
                       .open =
                           [order = setting.order](uint32_t seed) {
                             return OnSimulatedServer(
                                 {.order = order, .seed = seed, .copy_slowness = 10})();
                           },
                       .open_alone = OnSimulatedServer({.order = SimOrder::kEager}),
                       .head_dim = setting.head_dim,
                       .last_pages = setting.last_pages});
  }
  return devices;
}

}  // namespace chorus::test
