// The stress test of adapters on the first GPU: three times in a small pool, since no two runs
// interleave alike, then in a pool as large as its memory.
#include <thread>

#include "tests/gpu/cuda_backend.h"
#include "tests/support/adapter_stress.h"

namespace chorus::test {
namespace {

absl::StatusOr<ServerDevice> OnGpuServer() {
  ServerDevice device;
  CHORUS_ASSIGN_OR_RETURN(device.setup, OnGpu());
  // It lives for ever.
  device.clock = {std::shared_ptr<const engine::Clock>(), engine::Clock::Real()};
  device.idle = [] { std::this_thread::sleep_for(std::chrono::microseconds(100)); };
  return device;
}

}  // namespace

std::vector<StressDevice> StressDevices() {
  std::vector<StressDevice> devices;
  for (const char* name : {"Cuda_1", "Cuda_2", "Cuda_3", "Cuda_whole_memory"}) {
    devices.push_back({.name = name,
                       .open = [](uint32_t) { return OnGpuServer(); },
                       .open_alone = OnGpuServer,
                       .head_dim = 64,
                       .requests = 96,
                       // A product of another bucket may be another algorithm's: each of the two
                       // logits is within 0.1 (golden_contract_test.cc) both times.
                       .margin = 0.4f,
                       .whole_memory = name == std::string("Cuda_whole_memory")});
  }
  return devices;
}

}  // namespace chorus::test
