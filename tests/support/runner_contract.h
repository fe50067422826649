// The tests of the runner of devices that hold on any of them (runner_contract_test.cc). A program
// that links them says on which devices they run.
#ifndef CHORUS_TESTS_SUPPORT_RUNNER_CONTRACT_H_
#define CHORUS_TESTS_SUPPORT_RUNNER_CONTRACT_H_

#include <ostream>
#include <string>
#include <vector>

#include "kernels/device/dtype.h"
#include "tests/support/device_backend.h"

namespace chorus::test {

struct RunnerDevice {
  std::string name;  // of letters, digits and underscores
  std::string architecture;
  kernels::DType dtype = kernels::DType::kBf16;
  MakeDevice open;  // NotFound: there is none, the test is skipped
  engine::DeviceLoraSharing lora;
};
inline void PrintTo(const RunnerDevice& device, std::ostream* out) { *out << device.name; }

std::vector<RunnerDevice> RunnerDevices();

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_RUNNER_CONTRACT_H_
